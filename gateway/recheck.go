package gateway

import (
	"context"
	"time"

	"github.com/berth-ssh/berth/auth"
)

// Recheck asks the directory every so often, until ctx ends, about the connected
// people who logged in by it. It tells people who are no longer in the directory, or
// who have lost a grant with a group, and ends their connections. While the directory
// does not answer, everybody goes on.
func (s *Server) Recheck(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	answers := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.recheckAll(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && answers:
			s.Log.Error("no answer; who is there by it goes on", "service", auth.LDAP, "err", err)
		case err == nil && !answers:
			s.Log.Info("answers again", "service", auth.LDAP)
		}
		answers = err == nil
	}
}

// recheckAll asks about one connection after the other. It returns an error if the
// directory did not answer about some of them, but still asks about all others: a
// user could provoke the failure, for example by a second entry with the same name.
func (s *Server) recheckAll(ctx context.Context) (unanswered error) {
	for _, live := range s.Live() {
		if _, ok := live.Identity.At(auth.LDAP); !ok {
			continue
		}
		now, err := s.Keeper.Recheck(ctx, live.Identity)
		if err != nil {
			unanswered = err
			continue
		}
		s.live.identify(live.ID, now)
		s.review(live.ID)
	}
	return unanswered
}
