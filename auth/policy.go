package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"

	"golang.org/x/crypto/ssh"
)

// ErrDenied is the answer to every attempt that fails, whatever the reason.
var ErrDenied = errors.New("denied")

// Policy is who may enter what. It is safe for use by many connections at once
// and never changes.
type Policy struct {
	users map[string]*user
	keys  keyring
	dummy func(password []byte) bool // stands in for a hash that is not there
	slots chan struct{}              // a password hash takes a core and tens of MiB while it runs
}

type user struct {
	verify func(password []byte) bool // nil: no password opens
	hosts  map[string]string
}

// NewPolicy checks the users and makes them a policy. The error names the user
// and quotes no credential.
func NewPolicy(users []User) (*Policy, error) {
	p := &Policy{
		users: make(map[string]*user),
		keys:  make(keyring),
		dummy: defaultArgon2().verify,
		slots: make(chan struct{}, runtime.NumCPU()),
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
	added := &user{hosts: maps.Clone(u.Hosts)}
	if u.Password != "" {
		added.verify, _ = parseHash(u.Password) // checked above
	}
	p.users[u.Name] = added
	for _, key := range u.Keys {
		p.keys.add(key, u.Name)
	}
	return nil
}

// PublicKey grants what the key's owner may do, or returns [ErrDenied]. It
// answers the offer of a key as well (RFC 4252, section 7), so only a caller
// who has seen the signature may let anyone in.
func (p *Policy) PublicKey(login string, key ssh.PublicKey) (*Grant, error) {
	if checkKey(key) != nil {
		return nil, ErrDenied
	}
	l, _ := ParseLogin(login) // no key is that of the empty user
	if !p.keys.opens(key, l.User) {
		return nil, ErrDenied
	}
	return p.grant(l), nil
}

// Password grants what the user may do, or returns [ErrDenied]. An unknown user
// costs the caller the same time as a wrong password, if the user's hash is
// like those that [HashPassword] makes. The password waits its turn to be
// hashed; the error is ctx's if that takes too long.
func (p *Policy) Password(ctx context.Context, login string, password []byte) (*Grant, error) {
	if len(password) == 0 || len(password) > maxPassword {
		return nil, ErrDenied
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l, _ := ParseLogin(login) // no user has the empty name
	known := p.users[l.User]
	if known == nil || known.verify == nil {
		p.dummy(password)
		return nil, ErrDenied
	}
	if !known.verify(password) {
		return nil, ErrDenied
	}
	return p.grant(l), nil
}

func (p *Policy) grant(l Login) *Grant {
	return &Grant{user: l.User, login: l, hosts: p.users[l.User].hosts}
}
