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
	dummy func(password []byte) bool // stands in for a hash that is not there
}

type user struct {
	verify func(password []byte) bool // nil: no password opens
	hash   string                     // fingerprint of what verify was made of
	lines  []GrantLine                // in the order in which they are asked
	limits Limits
}

// NewPolicy checks the users and makes them a policy. The error names the user
// and quotes no credential.
func NewPolicy(users []User) (*Policy, error) {
	p := &Policy{
		users: make(map[string]*user),
		keys:  make(keyring),
		dummy: defaultArgon2().verify,
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
	added := &user{lines: linesOf("", u.Hosts), limits: u.Limits}
	for _, group := range u.Groups {
		added.lines = append(added.lines, linesOf(group.Name, group.Hosts)...)
	}
	if u.Password != "" {
		added.verify, _ = parseHash(u.Password) // checked above
		added.hash = fingerprint(u.Password)
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
	return Identity{User: l.User, Login: l, Method: ByPassword, Credential: known.hash}, nil
}

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
		return known.verify != nil && known.hash == who.Credential
	}
	return false
}
