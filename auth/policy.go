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

// ErrDenied is the error of every failed attempt, whatever the reason.
var ErrDenied = errors.New("denied")

// Policy says who may enter what. It is a snapshot: it never changes and is safe for
// concurrent use; [Policies] replaces it.
type Policy struct {
	users map[string]*user
	keys  keyring

	// kinds has the kinds of all users' hashes, each with a hash of a password that
	// nobody knows. Every attempt computes one hash of each kind.
	kinds     map[kind]hash
	passwords bool // some user has a password

	services map[Service]map[string]string // users, by their names at services
	groups   []serviceGroup
	everyone Limits

	authorities []ssh.PublicKey // user CAs, whose certificates are valid for every user whom they name
	revoked     *Revoked
	rules       []Rule
	now         func() time.Time
}

// Option adds something besides users to a policy.
type Option func(*Policy)

// WithAuthorities trusts user CAs with these keys: their certificates log in the
// users whom they name.
func WithAuthorities(keys ...ssh.PublicKey) Option {
	return func(p *Policy) { p.authorities = append(p.authorities, keys...) }
}

// WithRevoked makes revoked keys and certificates invalid.
func WithRevoked(revoked *Revoked) Option { return func(p *Policy) { p.revoked = revoked } }

// WithRules demands certain steps, or several, of a login. The first rule that
// matches decides.
func WithRules(rules ...Rule) Option {
	return func(p *Policy) { p.rules = append(p.rules, rules...) }
}

type user struct {
	password hash        // without verify, no password is valid
	shown    string      // fingerprint of the password's hash
	lines    []GrantLine // in the order in which they are tried
	limits   Limits

	principals []string           // the user's names in user CAs' certificates
	at         map[Service]string // the user's names at services
}

// NewPolicy checks the users and returns a policy of them. The error names the user
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
	if len(p.kinds) == 0 { // an attempt must take its time also if nobody has a password
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
		added.password, _ = parseHash(u.Password) // valid: it was checked above
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
// returns [ErrDenied]. It also answers questions about a key without a signature (RFC
// 4252, section 7), so only a caller that has verified the signature may let anybody
// in. from is the client's address.
func (p *Policy) PublicKey(login string, key ssh.PublicKey, from netip.Addr) (Identity, error) {
	l, _ := ParseLogin(login) // the empty user has no key
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

// Password identifies a user by the password, or returns [ErrDenied]. It computes one
// hash of every kind that any user has. So it takes the same time for every name,
// known or not: tens of milliseconds of a core, and tens of MiB. The caller must
// bound how many calls run at once.
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

// Kinds returns how many hashes one call of Password computes.
func (p *Policy) Kinds() int { return len(p.kinds) }

// Knows reports whether there is a user with this name.
func (p *Policy) Knows(name string) bool { return p.users[name] != nil }

// stillProves reports whether the policy still knows the user and accepts the
// credential of every step, without more restrictions than at the login.
func (p *Policy) stillProves(who Identity) bool {
	return p.person(who) != nil && p.stillOpen(who, who.Restrictions)
}

// stillOpen checks every step. The identity's restrictions are those of all steps
// together, so no step may forbid more now.
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

// linesFor returns the lines for which the key or certificate of a step is valid now.
// A line that has expired since the login still counts.
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
