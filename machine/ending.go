package machine

import (
	"sync"

	"github.com/berth-ssh/berth/sshconn"
)

// Ending is the end of a process, which is told once.
type Ending struct {
	exit chan sshconn.Exit

	mu   sync.Mutex
	told bool
	then func() // nil if nobody waits
}

// NewEnding returns an end that has not been told.
func NewEnding() *Ending { return &Ending{exit: make(chan sshconn.Exit, 1)} }

// Exit returns a channel with how the process ended. It is closed after that one
// value, or without a value if the end is unknown.
func (e *Ending) Exit() <-chan sshconn.Exit { return e.exit }

// Then makes f be called when the process has ended, at once if it has. Unlike a
// receive from Exit it needs no goroutine that waits.
func (e *Ending) Then(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.told {
		f()
		return
	}
	e.then = f
}

// Tell tells how the process has ended; nil if that is unknown. Only the first call
// has an effect.
func (e *Ending) Tell(how *sshconn.Exit) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.told {
		return
	}
	e.told = true
	if how != nil {
		e.exit <- *how
	}
	close(e.exit)
	if e.then != nil {
		e.then()
	}
}
