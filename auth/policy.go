package auth

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// ErrDenied is the answer to every attempt that fails, whatever the reason.
var ErrDenied = errors.New("denied")

// Policy is who may enter what: a snapshot. It never changes and is safe for
// use by many connections at once; [Policies] exchanges it.
type Policy struct {
	users map[string]*user
	keys  keyring

	// kinds are those of the users' hashes, each with one that nobody's password
	// has. Every attempt computes one hash of each kind.
	kinds map[kind]hash
}

type user struct {
	password hash        // without verify: no password opens
	shown    string      // fingerprint of the password's hash
	lines    []GrantLine // in the order in which they are asked
	limits   Limits
}

// NewPolicy checks the users and makes them a policy. The error names the user
// and quotes no credential.
func NewPolicy(users []User) (*Policy, error) {
	p := &Policy{
		users: make(map[string]*user),
		keys:  make(keyring),
		kinds: make(map[kind]hash),
	}
	for _, u := range users {
		if err := p.add(u); err != nil {
			return nil, err
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
	added := &user{lines: linesOf("", u.Hosts), limits: u.Limits}
	for _, group := range u.Groups {
		added.lines = append(added.lines, linesOf(group.Name, group.Hosts)...)
	}
	if u.Password != "" {
		added.password, _ = parseHash(u.Password) // checked above
		p.kinds[added.password.kind] = added.password.kind.dummy()
		added.shown = fingerprint(u.Password)
	}
	p.users[u.Name] = added
	for _, key := range u.Keys {
		p.keys.add(key, u.Name)
	}
	return nil
}

// PublicKey identifies the owner of a key, or returns [ErrDenied]. It answers
// the offer of a key as well (RFC 4252, section 7), so only a caller who has
// seen the signature may let anyone in.
func (p *Policy) PublicKey(login string, key ssh.PublicKey) (Identity, error) {
	if checkKey(key) != nil {
		return Identity{}, ErrDenied
	}
	l, _ := ParseLogin(login) // no key is that of the empty user
	if !p.keys.opens(key, l.User) {
		return Identity{}, ErrDenied
	}
	return Identity{User: l.User, Login: l, Method: ByPublicKey, Credential: ssh.FingerprintSHA256(key)}, nil
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

// Kinds is how many hashes one attempt with a password computes.
func (p *Policy) Kinds() int { return len(p.kinds) }

// Knows reports whether there is a user of this name.
func (p *Policy) Knows(name string) bool { return p.users[name] != nil }

// stillProves reports whether the policy knows the user and lets the very
// credential that was shown open.
func (p *Policy) stillProves(who Identity) bool {
	known := p.users[who.User]
	switch {
	case known == nil:
		return false
	case who.Method == ByPublicKey:
		return p.keys.isOf(who.Credential, who.User)
	case who.Method == ByPassword:
		return known.password.verify != nil && known.shown == who.Credential
	}
	return false
}
