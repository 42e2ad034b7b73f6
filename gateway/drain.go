package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// stopTimeout is how long Serve may take to return after Drain is over.
	stopTimeout = 1500 * time.Millisecond

	// farewell is the part of stopTimeout in which sessions are told why they end.
	farewell = time.Second
)

// served holds the connections that are being served.
type served struct {
	mu      sync.Mutex
	all     map[*conn]bool
	closing chan struct{} // closed when the last one has ended; nil before close
}

// add adds a connection. It returns false after close was called.
func (s *served) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing != nil {
		return false
	}
	if s.all == nil {
		s.all = make(map[*conn]bool)
	}
	s.all[c] = true
	return true
}

func (s *served) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
	if s.closing != nil && len(s.all) == 0 {
		close(s.closing)
	}
}

// close makes add refuse from now on. The returned channel is closed when the last
// connection has ended.
func (s *served) close() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing != nil {
		return s.closing
	}
	s.closing = make(chan struct{})
	if len(s.all) == 0 {
		close(s.closing)
	}
	return s.closing
}

func (s *served) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// drain waits for s.Drain, then tells all sessions why they end, and then cuts the
// connections that are left. The error gives the number of those that have not ended
// even then.
func (s *Server) drain(cut func()) error {
	empty := s.serving.close()
	if s.goOn(context.Background(), empty, s.Drain, "since the gateway is stopping") {
		return nil
	}
	return s.endAll(empty, cut, "the gateway is stopping")
}

// goOn waits until no connection is left, ctx ends, or length is over. It returns
// true in the first case. Terminals get a warning with the reason 10 minutes and 1
// minute before length is over.
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

// endAll ends all connections now, and waits until none is left.
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

// came waits for an event, for at most patience, and reports whether it happened.
func came(event <-chan struct{}, patience time.Duration) bool {
	select {
	case <-event:
		return true
	case <-time.After(patience):
		return false
	}
}
