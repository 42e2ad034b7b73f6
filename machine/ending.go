package machine

import (
	"sync"

	"github.com/berth-ssh/berth/sshconn"
)

// Ending is how a process ends, which is told once.
type Ending struct {
	exit chan sshconn.Exit

	mu   sync.Mutex
	told bool
	then func() // nil where nobody waits
}

// NewEnding makes one that is not told yet.
func NewEnding() *Ending { return &Ending{exit: make(chan sshconn.Exit, 1)} }

// Exit gives how the process ended, once, and is closed then; it is closed without
// a value where nobody knows.
func (e *Ending) Exit() <-chan sshconn.Exit { return e.exit }

// Then has f called when the process has ended, which may be now. Unlike a receive
// from Exit it needs no goroutine that waits.
func (e *Ending) Then(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.told {
		f()
		return
	}
	e.then = f
}

// Tell tells how the process has ended; nil where nobody knows.
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
