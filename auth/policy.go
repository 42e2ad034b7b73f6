package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// ErrDenied is the answer to every attempt that fails, whatever the reason.
var ErrDenied = errors.New("denied")

// Policy is who may enter what: a snapshot. It never changes and is safe for
// use by many connections at once; [Policies] exchanges it.
type Policy struct {
	users map[string]*user
	keys  keyring
	dummy func(password []byte) bool // stands in for a hash that is not there

	authorities []ssh.PublicKey // whose certificates open for everybody that they name
	revoked     *Revoked
	rules       []Rule
	now         func() time.Time
}

// Option adds to what a policy knows besides its users.
type Option func(*Policy)

// WithAuthorities trusts the user CAs with these keys: their certificates open
// for the users whom they name.
func WithAuthorities(keys ...ssh.PublicKey) Option {
	return func(p *Policy) { p.authorities = append(p.authorities, keys...) }
}

// WithRevoked lets what is revoked open nothing.
func WithRevoked(revoked *Revoked) Option { return func(p *Policy) { p.revoked = revoked } }

// WithRules asks for more than one step of a login, or for certain ones. The
// first rule that fits decides.
func WithRules(rules ...Rule) Option {
	return func(p *Policy) { p.rules = append(p.rules, rules...) }
}

type user struct {
	verify func(password []byte) bool // nil: no password opens
	hosts  map[string]Grant

	principals []string // by which a user CA's certificates name the user; nil: the name
}

// NewPolicy checks the users and makes them a policy. The error names the user
// and quotes no credential.
func NewPolicy(users []User, options ...Option) (*Policy, error) {
	p := &Policy{
		users: make(map[string]*user),
		keys:  make(keyring),
		dummy: defaultArgon2().verify,
		now:   time.Now,
	}
	for _, option := range options {
		option(p)
	}
	for _, u := range users {
		if err := p.add(u); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Policy) add(u User) error {
	if err := u.check(); err != nil {
		return err
	}
	if p.users[u.Name] != nil {
		return fmt.Errorf("user %s is given twice", u.Name)
	}
	added := &user{hosts: make(map[string]Grant), principals: slices.Clone(u.Principals)}
	for host, grant := range u.Hosts {
		added.hosts[host] = grant.clone()
	}
	if u.Password != "" {
		added.verify, _ = parseHash(u.Password) // checked above
	}
	p.users[u.Name] = added
	for _, key := range u.Keys {
		p.keys.add(Authorized{Key: key}, u.Name)
	}
	for _, line := range u.Authorized {
		p.keys.add(line, u.Name)
	}
	return nil
}

// PublicKey identifies the owner of a key, or of a certificate and its key, or
// returns [ErrDenied]. It answers the offer of a key as well (RFC 4252, section
// 7), so only a caller who has seen the signature may let anyone in. from is
// where the client is.
func (p *Policy) PublicKey(login string, key ssh.PublicKey, from netip.Addr) (Identity, error) {
	l, _ := ParseLogin(login) // no key is that of the empty user
	if certificate, ok := key.(*ssh.Certificate); ok {
		return p.certificate(l, certificate, from)
	}
	if checkKey(key) != nil || p.revoked.hasKey(key) {
		return Identity{}, ErrDenied
	}
	for _, line := range p.keys.linesOf(key, l.User) {
		if !line.Authority && line.admits(from, p.now()) {
			return Identity{
				User: l.User, Login: l, Method: ByPublicKey, Credential: ssh.FingerprintSHA256(key),
				From: from, Permits: line.Permits, NoTouch: line.NoTouch,
			}, nil
		}
	}
	return Identity{}, ErrDenied
}

// Password identifies a user by the password, or returns [ErrDenied]. It
// computes a hash, so it takes a core, tens of MiB and tens of milliseconds:
// see [Policies.Password]. An unknown user costs the caller the same time as a
// wrong password, if the user's hash is like those that [HashPassword] makes.
func (p *Policy) Password(login string, password []byte) (Identity, error) {
	if len(password) == 0 || len(password) > maxPassword {
		return Identity{}, ErrDenied
	}
	l, _ := ParseLogin(login) // no user has the empty name
	known := p.users[l.User]
	if known == nil || known.verify == nil {
		p.dummy(password)
		return Identity{}, ErrDenied
	}
	if !known.verify(password) {
		return Identity{}, ErrDenied
	}
	return Identity{User: l.User, Login: l, Method: ByPassword}, nil
}

// stillProves reports whether the policy knows the user and lets the kind of
// credential that was shown open, a key by its fingerprint; so for every step.
func (p *Policy) stillProves(who Identity) bool {
	known := p.users[who.User]
	if known == nil || who.Before != nil && !p.stillProves(*who.Before) {
		return false
	}
	switch who.Method {
	case ByPublicKey:
		return p.stillOpens(who)
	case ByPassword:
		return known.verify != nil
	case ByCode:
		return true
	}
	return false
}

func (p *Policy) stillOpens(who Identity) bool {
	c := who.Certificate
	if c != nil {
		return !p.revoked.has(c) && len(p.authoritiesFor(c.SignatureKey, who.User, nil)) > 0
	}
	return !p.revoked.hasFingerprint(who.Credential) && p.keys.isOf(who.Credential, who.User)
}
