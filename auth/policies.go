package auth

import "sync/atomic"

// Policies holds the policy in force. It is safe for use by many connections
// at once, while the policy is exchanged.
type Policies struct {
	current atomic.Pointer[Policy]
}

// NewPolicies puts a first policy into force.
func NewPolicies(first *Policy) *Policies {
	p := &Policies{}
	p.Exchange(first)
	return p
}

// Current is the policy in force now. Whoever decides on several things that
// belong together asks once and keeps it.
func (p *Policies) Current() *Policy { return p.current.Load() }

// Exchange puts a policy into force. Attempts and connections that took the
// former one go on with it.
func (p *Policies) Exchange(next *Policy) { p.current.Store(next) }
