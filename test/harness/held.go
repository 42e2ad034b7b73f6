package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Held is what a gateway holds, as it logs on SIGUSR1.
type Held struct {
	Connections int // that it serves, before and after the login
	Goroutines  int
	Memory      int // bytes from the system, without garbage
}

func (h Held) String() string {
	return fmt.Sprintf("%d connections, %d goroutines, %.1f MiB", h.Connections, h.Goroutines, float64(h.Memory)/(1<<20))
}

// Holds asks the gateway what it holds.
func (g *Gateway) Holds(t *testing.T) Held {
	t.Helper()
	all := func() (said []Record) {
		for _, r := range g.Records(t) {
			if r["msg"] == "strangers" {
				said = append(said, r)
			}
		}
		return said
	}
	before := len(all())
	var now Record
	var asked time.Time
	Eventually(t, "the gateway says what it holds", func() bool {
		if time.Since(asked) > time.Second { // a front that has just ended does not hear it
			g.Signal(syscall.SIGUSR1)
			asked = time.Now()
		}
		said := all()
		if len(said) > before {
			now = said[before]
		}
		return now != nil
	})
	return Held{Number(t, now["served"]), Number(t, now["goroutines"]), Number(t, now["memory"])}
}

// Resident is what the gateway's two processes hold of the machine's memory, in bytes.
func (g *Gateway) Resident(t *testing.T) int {
	t.Helper()
	pages := 0
	for _, p := range g.Processes(t) {
		pages += Number(t, strings.Fields(Read(t, p.path("statm")))[1])
	}
	return pages * os.Getpagesize()
}

// Number parses a number.
func Number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
