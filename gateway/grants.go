package gateway

import (
	"context"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
)

// Exchange puts a policy into force for logins to come, and for the people who
// are there: who may not go on is told why and cut off. It returns how many
// connections were ended; nobody else notices.
// By says on whose behalf, for the audit file.
func (s *Server) Exchange(next *auth.Policy, by string) (ended int) {
	before := s.Policies.Current()
	s.Policies.Exchange(next)
	s.auditChanges(before, next, by)
	for _, live := range s.Live() {
		if !s.review(live.ID) {
			ended++
		}
	}
	return ended
}

// review ends a connection that the policy in force does not let go on: its user,
// credential or grant is gone, or the grant has become narrower. One that has not
// entered yet is decided when it does.
func (s *Server) review(id string) (goesOn bool) {
	c, entered := s.live.get(id)
	if !entered {
		return true
	}
	why := ""
	now, err := s.Policies.Current().Still(c.Identity, c.target.Host, c.Account)
	switch {
	case err != nil:
		why = err.Error()
	case !now.Covers(c.target.Grant.Restrictions):
		why = c.Identity.User + " may do less on " + c.Host + " now; log in again"
	case !now.Until.IsZero():
		s.live.reviewAt(id, now.Until, func() { s.review(id) })
		return true
	default:
		return true
	}
	s.Log.Info("ended", "conn", id, "user", c.Identity.User, "host", c.Host, "why", why)
	s.End(id, why)
	return false
}

// known is what grants go by of the hosts that there are.
func (s *Server) known(ctx context.Context) []auth.Host {
	var all []auth.Host
	for _, host := range s.Hosts.List(ctx) {
		all = append(all, grantedBy(host))
	}
	return all
}

// grantedBy is what grants go by of a host.
func grantedBy(host hosts.Host) auth.Host {
	return auth.Host{Name: host.Name, Exact: host.Exact, Box: host.Box, Account: host.Account, Project: host.Project, Labels: host.Labels}
}
