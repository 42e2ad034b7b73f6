package auth

import (
	"cmp"
	"time"
)

// Limits are what one person may have at the same time, and for how long; 0 is
// no limit.
type Limits struct {
	Connections int // that are logged in
	Sessions    int // on all hosts together
	Forwards    int // open local forwards: direct-tcpip and direct-streamlocal channels

	Idle  time.Duration // that a connection's channels may be silent
	Total time.Duration // that a connection may last
}

// Or fills in what l does not limit.
func (l Limits) Or(other Limits) Limits {
	return Limits{
		Connections: cmp.Or(l.Connections, other.Connections),
		Sessions:    cmp.Or(l.Sessions, other.Sessions),
		Forwards:    cmp.Or(l.Forwards, other.Forwards),
		Idle:        cmp.Or(l.Idle, other.Idle),
		Total:       cmp.Or(l.Total, other.Total),
	}
}

// Limits are those of an identity; none for one that the policy does not know.
func (p *Policy) Limits(who Identity) Limits {
	if known := p.person(who); known != nil {
		return known.limits
	}
	return Limits{}
}
