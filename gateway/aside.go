package gateway

import (
	"context"
	"time"
)

// StepAside says that the listener is about to be closed on purpose: another gateway
// accepts in the place of this one, or nobody may connect any more. Serve then goes
// on with the existing connections for at most linger. Terminals get a warning 10
// minutes and 1 minute before the end of that time. At the end all sessions are told
// why they end.
func (s *Server) StepAside(linger time.Duration) { s.aside.CompareAndSwap(nil, &linger) }

// linger returns when all connections have ended. After length it ends those that are
// left. When ctx ends, it stops the server as Serve does.
func (s *Server) linger(ctx context.Context, cut func(), length time.Duration) error {
	empty := s.serving.close()
	s.Log.Info("accepts no new connections", "connections", s.serving.left(), "for", length)
	switch {
	case s.goOn(ctx, empty, length, "since the gateway was replaced"):
		return nil
	case ctx.Err() != nil:
		return s.drain(cut)
	}
	return s.endAll(empty, cut, "the gateway was replaced, and its time is over; log in again")
}
