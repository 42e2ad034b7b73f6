package gateway

// Review checks all live connections against a new policy. It tells those that may
// not go on why, and ends them; the others notice nothing. It returns how many were
// ended.
func (s *Server) Review() (ended int) {
	for _, live := range s.Live() {
		if !s.review(live.ID) {
			ended++
		}
	}
	return ended
}

// review ends a connection that the policy in force no longer allows: its user,
// credential or grant is gone, or the grant has become narrower. It does nothing to a
// connection that has not entered its host yet: that is decided when it does.
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
