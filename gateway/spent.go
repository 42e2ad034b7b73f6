package gateway

import (
	"errors"
	"net"
	"time"
)

// When a process is given up that once served very many connections.
const (
	// keptBytes is how much more memory than at its start a process may hold while it
	// serves nobody. Go's runtime never gives back what it keeps of each goroutine
	// that once ran, half a KiB or more.
	keptBytes = 8 << 20

	// idleLooks is how many looks of the watchdog in a row must find that. In this
	// time all memory is given back that can be.
	idleLooks = 10
)

// ErrSpent is Serve's error when it serves nobody, but holds memory that a new
// process would not. Nobody has been refused: new connections wait in the listener's
// queue.
var ErrSpent = errors.New("nobody is served, and memory of many is kept")

// lookAtIdle interrupts Accept if the process serves nobody and holds too much
// memory. Then [Server.Serve] ends with [ErrSpent], unless somebody has connected
// meanwhile.
func (w *watchdog) lookAtIdle(now held) {
	if now.memory < w.atStart+keptBytes || !w.server.isIdle() {
		w.idle = 0
		return
	}
	if w.idle++; w.idle >= idleLooks && w.interrupt != nil {
		w.interrupt()
	}
}

// interruptible is a listener with a deadline for Accept, as sockets have.
type interruptible interface{ SetDeadline(time.Time) error }

// interrupting returns a function that makes the listener's Accept return
// os.ErrDeadlineExceeded, or nil if the listener has no deadline.
func interrupting(listener net.Listener) func() {
	if bounded, ok := listener.(interruptible); ok {
		return func() { bounded.SetDeadline(time.Now()) }
	}
	return nil
}

// isIdle reports whether the process serves nobody and holds no penalties, which
// would be forgotten with it.
func (s *Server) isIdle() bool {
	return s.serving.left() == 0 && s.turnedAway.Load() == 0 && s.aside.Load() == nil && len(s.Penalties()) == 0
}
