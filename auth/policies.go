package auth

import "sync/atomic"

// Policies holds the policy in force. It is safe for use by many connections
// at once, while the policy is replaced.
type Policies struct {
	current atomic.Pointer[Policy]
}

// NewPolicies puts a first policy into force.
func NewPolicies(first *Policy) *Policies {
	p := &Policies{}
	p.Replace(first)
	return p
}

// Current is the policy in force now. A caller that decides several things which belong
// together takes it once for all of them.
func (p *Policies) Current() *Policy { return p.current.Load() }

// Replace puts a policy into force. Attempts and connections that have taken the
// former one go on with that.
func (p *Policies) Replace(next *Policy) { p.current.Store(next) }
