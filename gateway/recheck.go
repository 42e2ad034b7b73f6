package gateway

import (
	"context"
	"time"

	"github.com/berth-ssh/berth/auth"
)

// Recheck asks the directory again, every so often until ctx ends, about those who are
// there by it. Who is not in it any more, or has lost a grant with a group, is told so
// and cut off. While it does not answer, everybody goes on.
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

// recheckAll asks about one connection after the other. The error is that the directory
// did not answer about some of them. The others are asked about all the same: it may be of
// somebody's own making, such as a second entry of the same name.
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
