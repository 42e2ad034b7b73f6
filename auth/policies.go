package auth

import (
	"context"
	"runtime"
	"sync/atomic"
)

// Policies holds the policy in force. It is safe for use by many connections
// at once, while the policy is exchanged.
type Policies struct {
	current atomic.Pointer[Policy]
	hashing chan struct{} // a password's hash takes a core and tens of MiB while it is computed
}

// NewPolicies puts a first policy into force.
func NewPolicies(first *Policy) *Policies {
	p := &Policies{hashing: make(chan struct{}, runtime.NumCPU())}
	p.Exchange(first)
	return p
}

// Current is the policy in force now. Whoever decides on several things that
// belong together asks once and keeps it.
func (p *Policies) Current() *Policy { return p.current.Load() }

// Exchange puts a policy into force. Attempts and connections that took the
// former one go on with it.
func (p *Policies) Exchange(next *Policy) { p.current.Store(next) }

// Password asks the policy that is in force when the password's turn to be
// hashed has come (see [Policy.Password]). It waits for that turn until ctx
// ends; then the error is ctx's.
func (p *Policies) Password(ctx context.Context, login string, password []byte) (Identity, error) {
	select {
	case p.hashing <- struct{}{}:
		defer func() { <-p.hashing }()
	case <-ctx.Done():
		return Identity{}, context.Cause(ctx)
	}
	return p.Current().Password(login, password)
}
