package auth

import (
	"cmp"
	"time"
)

// Limits are what one person may have at the same time, and for how long; 0 is no
// limit.
type Limits struct {
	Connections int // that have logged in
	Sessions    int // on all hosts together
	Forwards    int // open local forwards: direct-tcpip and direct-streamlocal channels

	Idle  time.Duration // how long a connection's channels may be silent
	Total time.Duration // how long a connection may last
}

// Or returns l, with other's limit where l has none.
func (l Limits) Or(other Limits) Limits {
	return Limits{
		Connections: cmp.Or(l.Connections, other.Connections),
		Sessions:    cmp.Or(l.Sessions, other.Sessions),
		Forwards:    cmp.Or(l.Forwards, other.Forwards),
		Idle:        cmp.Or(l.Idle, other.Idle),
		Total:       cmp.Or(l.Total, other.Total),
	}
}

// Limits returns the limits of an identity; none if the policy does not know it.
func (p *Policy) Limits(who Identity) Limits {
	if known := p.person(who); known != nil {
		return known.limits
	}
	return Limits{}
}
