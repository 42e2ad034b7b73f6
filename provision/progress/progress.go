// Package progress shows people on a terminal what is being done, and for how long.
package progress

import (
	"fmt"
	"math"
	"os"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/term"

	"github.com/berth-ssh/berth/printable"
)

// Progress shows on a terminal what is being done, in one line that changes, and
// leaves a line for everything that took time. If the output is no terminal, it
// writes nothing.
type Progress struct {
	out   *os.File
	live  bool
	task  string
	began time.Time
}

// New returns a Progress on this file. It writes nothing if that is no terminal.
func New(out *os.File) *Progress {
	return &Progress{out: out, live: term.IsTerminal(int(out.Fd()))}
}

// Begin shows what is being done from now on.
func (p *Progress) Begin(task string) {
	p.task, p.began = task, time.Now()
	p.Say("")
}

// Say shows a line of output of the task.
func (p *Progress) Say(line string) {
	if !p.live {
		return
	}
	width, _, err := term.GetSize(int(p.out.Fd()))
	if err != nil || width < 2 {
		width = 80
	}
	text := []rune(p.task + "  " + printable.Line(line, width))
	fmt.Fprintf(p.out, "\r\x1b[K%s", string(text[:min(len(text), width-1)]))
}

// Tick shows a line with the time that the task takes, until stop is called.
func (p *Progress) Tick(line string) (stop func()) {
	if !p.live {
		return func() {}
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Second):
				p.Say(fmt.Sprintf("%s, %s", line, units.HumanDuration(time.Since(began))))
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// End leaves a line with what was done and how long it took, or none if it failed.
func (p *Progress) End(done bool) {
	if !p.live {
		return
	}
	fmt.Fprint(p.out, "\r\x1b[K")
	if done {
		fmt.Fprintf(p.out, "%s  %.1fs\n", p.task, time.Since(p.began).Seconds())
	}
}

// Warn writes a warning of the engine, also if there is no terminal.
func (p *Progress) Warn(about, warning string) {
	if p.out == nil {
		return
	}
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintf(p.out, "%s: the engine warns: %s\n", about, printable.Line(warning, math.MaxInt))
}
