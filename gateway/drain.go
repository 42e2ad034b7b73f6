package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// stopTimeout is how much longer than Drain Serve may take to return.
	stopTimeout = 1500 * time.Millisecond

	// farewell is how much of that is for telling sessions why they end.
	farewell = time.Second
)

// admitted are the connections that are served, until none are any more.
type admitted struct {
	mu      sync.Mutex
	all     map[*conn]bool
	closing chan struct{} // closed when the last has left; nil before close
}

// add counts a connection, unless close was called.
func (a *admitted) add(c *conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing != nil {
		return false
	}
	if a.all == nil {
		a.all = make(map[*conn]bool)
	}
	a.all[c] = true
	return true
}

func (a *admitted) remove(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, c)
	if a.closing != nil && len(a.all) == 0 {
		close(a.closing)
	}
}

// close lets nobody in any more. The channel that it returns is closed when those
// who are in have left.
func (a *admitted) close() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing != nil {
		return a.closing
	}
	a.closing = make(chan struct{})
	if len(a.all) == 0 {
		close(a.closing)
	}
	return a.closing
}

func (a *admitted) left() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all)
}

// drain ends all connections: after Drain by telling, and then by cutting them.
// It does not wait for what does not end even then, and returns an error about it.
func (s *Server) drain(cut func()) error {
	empty := s.serving.close()
	if s.goOn(context.Background(), empty, s.Drain, "since the gateway is stopping") {
		return nil
	}
	return s.endAll(empty, cut, "the gateway is stopping")
}

// goOn waits until there are no connections, ctx ends, or their time is over, and reports
// whether it was the first of these. Who is at a terminal is told 10 minutes and 1 minute
// before the last, and why.
func (s *Server) goOn(ctx context.Context, empty <-chan struct{}, length time.Duration, why string) bool {
	end := time.Now().Add(length)
	for _, before := range []time.Duration{10 * time.Minute, time.Minute, 0} {
		if before >= length && before > 0 {
			continue
		}
		select {
		case <-empty:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(time.Until(end.Add(-before))):
		}
		if before > 0 {
			s.Wall(fmt.Sprintf("berth: this connection ends in %s, %s; log in again to go on", minutes(before), why))
		}
	}
	return false
}

func minutes(length time.Duration) string {
	if length == time.Minute {
		return "1 minute"
	}
	return fmt.Sprintf("%d minutes", int(length.Minutes()))
}

// endAll ends all connections now, and waits until there are none.
func (s *Server) endAll(empty <-chan struct{}, cut func(), reason string) error {
	for _, live := range s.Live() {
		s.End(live.ID, reason)
	}
	if came(empty, farewell) {
		return nil
	}
	cut()
	if came(empty, stopTimeout-farewell) {
		return nil
	}
	return fmt.Errorf("%d connections do not end, although they were cut", s.serving.left())
}

// came waits for an event, at most so long, and reports whether it came.
func came(event <-chan struct{}, patience time.Duration) bool {
	select {
	case <-event:
		return true
	case <-time.After(patience):
		return false
	}
}
