package auth

import "sync/atomic"

// Policies holds the policy in force. It is safe for concurrent use, also while the
// policy is replaced.
type Policies struct {
	current atomic.Pointer[Policy]
}

// NewPolicies returns Policies with a first policy in force.
func NewPolicies(first *Policy) *Policies {
	p := &Policies{}
	p.Replace(first)
	return p
}

// Current returns the policy in force. A caller that decides several things which
// belong together must call it once for all of them.
func (p *Policies) Current() *Policy { return p.current.Load() }

// Replace puts a policy into force. Attempts and connections that use the former one
// at that moment go on with it.
func (p *Policies) Replace(next *Policy) { p.current.Store(next) }
