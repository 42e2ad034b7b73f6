package gateway

import (
	"errors"
	"net"
	"time"
)

// How a process that has served very many is given up.
const (
	// keptBytes is how much more than at its start a process may hold while it serves
	// nobody. What Go's runtime keeps of many goroutines, half a KiB for each and more,
	// it never gives back.
	keptBytes = 8 << 20

	// idleLooks is how many looks of the watchdog in a row find that: memory that can be
	// given back is given back meanwhile.
	idleLooks = 10
)

// ErrSpent is that the server serves nobody and keeps memory of many, which another
// process would not. Nobody was refused: who connects waits in the listener's queue.
var ErrSpent = errors.New("nobody is served, and memory of many is kept")

// lookAtIdle interrupts the accepting where a process that serves nobody keeps memory,
// so that [Server.Serve] ends with [ErrSpent] if still nobody has come.
func (w *watchdog) lookAtIdle(now held) {
	if now.memory < w.atStart+keptBytes || !w.server.isIdle() {
		w.idle = 0
		return
	}
	if w.idle++; w.idle >= idleLooks && w.interrupt != nil {
		w.interrupt()
	}
}

// interruptible is a listener whose Accept a deadline ends, as that of a socket.
type interruptible interface{ SetDeadline(time.Time) error }

// interrupting is what has a listener's Accept return, with os.ErrDeadlineExceeded; nil
// where the listener cannot.
func interrupting(listener net.Listener) func() {
	if bounded, ok := listener.(interruptible); ok {
		return func() { bounded.SetDeadline(time.Now()) }
	}
	return nil
}

// isIdle reports whether nobody is served, and nothing would be forgotten with this
// process: failures that slow sources down are in it.
func (s *Server) isIdle() bool {
	return s.serving.left() == 0 && s.turnedAway.Load() == 0 && s.aside.Load() == nil && len(s.Penalties()) == 0
}
