package gateway

// Review looks at the people who are there, when another policy has come into force:
// who may not go on is told why and cut off. It returns how many connections were
// ended; nobody else notices.
func (s *Server) Review() (ended int) {
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
	now, err := s.Keeper.CurrentGrant(c.Identity, c.target.Host, c.Account)
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
