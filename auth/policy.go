package auth

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// ErrDenied is the answer to every attempt that fails, whatever the reason.
var ErrDenied = errors.New("denied")

// Policy is who may enter what: a snapshot. It never changes and is safe for
// use by many connections at once; [Policies] replaces it.
type Policy struct {
	users map[string]*user
	keys  keyring

	// kinds are those of the users' hashes, each with one that nobody's password
	// has. Every attempt computes one hash of each kind.
	kinds     map[kind]hash
	passwords bool // some user has one

	services map[Service]map[string]string // users, by what services call them
	groups   []serviceGroup
	everyone Limits

	authorities []ssh.PublicKey // whose certificates open for everybody whom they name
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
	password hash        // without verify: no password opens
	shown    string      // fingerprint of the password's hash
	lines    []GrantLine // in the order in which they are asked
	limits   Limits

	principals []string           // by which a user CA's certificates name the user
	at         map[Service]string // what services call the user
}

// NewPolicy checks the users and makes them a policy. The error names the user
// and quotes no credential.
func NewPolicy(users []User, options ...Option) (*Policy, error) {
	p := &Policy{
		users: make(map[string]*user),
		keys:  make(keyring),
		kinds: make(map[kind]hash),
		now:   time.Now,

		services: make(map[Service]map[string]string),
	}
	for _, option := range options {
		option(p)
	}
	for _, u := range users {
		if err := errors.Join(p.add(u), p.addAt(u)); err != nil {
			return nil, err
		}
	}
	for _, group := range p.groups {
		if err := checkHosts(group.Hosts); err != nil {
			return nil, fmt.Errorf("group %s: %w", group.Name, err)
		}
	}
	if len(p.kinds) == 0 { // nobody has a password, which is nobody's business
		p.kinds[defaultKind()] = defaultKind().dummy()
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
	added := &user{lines: linesOf("", u.Hosts), limits: u.Limits, principals: slices.Clone(u.Principals), at: maps.Clone(u.At)}
	if added.principals == nil {
		added.principals = []string{u.Name}
	}
	for _, group := range u.Groups {
		added.lines = append(added.lines, linesOf(group.Name, group.Hosts)...)
	}
	if u.Password != "" {
		added.password, _ = parseHash(u.Password) // checked above
		p.kinds[added.password.kind] = added.password.kind.dummy()
		added.shown = fingerprint(u.Password)
		p.passwords = true
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
				From: from, Restrictions: line.Restrictions, NoTouch: line.NoTouch,
			}, nil
		}
	}
	return Identity{}, ErrDenied
}

// Password identifies a user by the password, or returns [ErrDenied]. It
// computes hashes, so it takes a core, tens of MiB and tens of milliseconds: who
// calls it bounds how many at once. It takes the same time whoever is named, and whether the
// user is known or not: one hash of every kind that any user has.
func (p *Policy) Password(login string, password []byte) (Identity, error) {
	if len(password) == 0 || len(password) > maxPassword {
		return Identity{}, ErrDenied
	}
	l, _ := ParseLogin(login) // no user has the empty name
	known := p.users[l.User]
	if known == nil {
		known = &user{}
	}
	opens := false
	for kind, dummy := range p.kinds {
		if known.password.verify != nil && known.password.kind == kind {
			opens = known.password.verify(password)
		} else {
			dummy.verify(password)
		}
	}
	if !opens {
		return Identity{}, ErrDenied
	}
	return Identity{User: l.User, Login: l, Method: ByPassword, Credential: known.shown}, nil
}

// HasPasswords reports whether any user has a password.
func (p *Policy) HasPasswords() bool { return p.passwords }

// Kinds is how many hashes one attempt with a password computes.
func (p *Policy) Kinds() int { return len(p.kinds) }

// Knows reports whether there is a user of this name.
func (p *Policy) Knows(name string) bool { return p.users[name] != nil }

// stillProves reports whether the policy knows the user and lets the very
// credential that was shown open, in each step, and for as much as it did.
func (p *Policy) stillProves(who Identity) bool {
	return p.person(who) != nil && p.stillOpen(who, who.Restrictions)
}

// stillOpen looks at every step. The restrictions are those of all of them, so
// none of them may forbid more now.
func (p *Policy) stillOpen(who Identity, as *Restrictions) bool {
	if who.Before != nil && !p.stillOpen(*who.Before, as) {
		return false
	}
	switch {
	case who.Service != "":
		name, ok := p.NameAt(who.Service, who.User)
		return ok && name == who.Credential
	case who.Method == ByPublicKey:
		return slices.ContainsFunc(p.linesFor(who), func(line Authorized) bool {
			return line.From.Has(who.From) && line.Restrictions.orNone().Covers(as.orNone())
		})
	case who.Method == ByPassword:
		known := p.users[who.User]
		return known != nil && known.password.verify != nil && known.shown == who.Credential
	case who.Method == ByCode:
		return true
	}
	return false
}

// linesFor are the lines by which a key or certificate that was shown may open
// now. Whether one of them has expired since does not matter to who is there.
func (p *Policy) linesFor(who Identity) []Authorized {
	if c := who.Certificate; c != nil {
		if p.revoked.has(c) {
			return nil
		}
		return slices.DeleteFunc(p.authoritiesFor(c.SignatureKey, who.User), func(line Authorized) bool { return !line.names(c) })
	}
	if p.revoked.hasFingerprint(who.Credential) {
		return nil
	}
	return p.keys.opening(who.Credential, who.User)
}
