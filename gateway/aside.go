package gateway

import (
	"context"
	"time"
)

// StepAside makes the end of the listener no failure: another gateway accepts in
// its stead, or nobody is to come any more. It is called before the listener is
// closed. Serve goes on with the connections there are, for as long as linger; who
// is at a terminal is told 10 minutes and 1 minute before that, and then all are
// told why they end.
func (s *Server) StepAside(linger time.Duration) { s.aside.CompareAndSwap(nil, &linger) }

// linger returns when all connections have ended by themselves, or were ended after
// their time. The end of ctx is a stop, as at any other time.
func (s *Server) linger(ctx context.Context, cut func(), length time.Duration) error {
	empty := s.serving.close()
	s.Log.Info("lets nobody in any more", "connections", s.serving.left(), "for", length)
	switch {
	case s.goOn(ctx, empty, length, "since the gateway was replaced"):
		return nil
	case ctx.Err() != nil:
		return s.drain(cut)
	}
	return s.endAll(empty, cut, "the gateway was replaced, and its time is over; log in again")
}
