package machine

import (
	"testing"

	"github.com/berth-ssh/berth/sshconn"
)

// TestAnEndingIsToldOnce: to who waits before and to who comes later, and a second
// one changes nothing.
func TestAnEndingIsToldOnce(t *testing.T) {
	e := NewEnding()
	times := 0
	e.Then(func() { times++ })
	how := sshconn.ExitStatus(7)
	e.Tell(&how)
	e.Tell(nil)
	if got, known := <-e.Exit(); !known || string(got.Payload) != string(how.Payload) {
		t.Errorf("it ended by %v, known: %v", got, known)
	}
	if _, known := <-e.Exit(); known {
		t.Error("it ended twice")
	}
	e.Then(func() { times++ })
	if times != 2 {
		t.Errorf("%d of 2 were called", times)
	}
}
