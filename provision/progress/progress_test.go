package progress

import (
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A long task is shown while it lasts, in one line that changes.
func TestWhatTakesLongIsShown(t *testing.T) {
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	defer time.AfterFunc(time.Minute, func() { master.Close() }).Stop()
	defer master.Close()
	p := New(terminal)
	p.Begin("recreate container lab-a-1")
	defer p.Tick("carries over what was written in it")()
	shown := ""
	for buffer := make([]byte, 1024); !strings.Contains(shown, "\r\x1b[Krecreate container lab-a-1  carries over what was written in it, "); {
		n, err := master.Read(buffer)
		if err != nil {
			t.Fatalf("%v; shown: %q", err, shown)
		}
		shown += string(buffer[:n])
	}
}
