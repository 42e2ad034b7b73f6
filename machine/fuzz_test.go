package machine

import (
	"testing"

	"github.com/creack/pty"
)

func FuzzTerminalModes(f *testing.F) {
	f.Add("\x01\x00\x00\x00\x03\x35\x00\x00\x00\x00\x81\x00\x00\x96\x00\x00")
	f.Fuzz(func(t *testing.T, modes string) {
		master, slave, err := pty.Open()
		if err != nil {
			t.Skip("no pty here: ", err)
		}
		defer master.Close()
		defer slave.Close()
		if err := setModes(slave, modes); err != nil {
			t.Errorf("modes %q: %v", modes, err)
		}
	})
}
