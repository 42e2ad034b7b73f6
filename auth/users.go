package auth

import (
	"fmt"

	"golang.org/x/crypto/ssh"
)

// User is a person who logs in to the gateway.
type User struct {
	Name     string
	Password string           // an argon2id or bcrypt hash; "": no password opens
	Keys     []ssh.PublicKey  // any one of them logs the user in
	Hosts    map[string]Grant // key: a text that [CheckSelector] accepts, such as a host's name or a pattern
	Groups   []Group          // whose grants are tried after Hosts, in this order
	Limits   Limits

	Authorized []Authorized // any one of these lines also logs in those whom it admits
	Principals []string     // the user's names in user CAs' certificates; nil: Name

	At map[Service]string // the user's names at services by which the user may log in; no two users share one
}

// check returns an error if the user is not valid. It quotes no credential.
func (u User) check() error {
	if err := CheckName(u.Name); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	if u.Password != "" {
		if err := CheckHash(u.Password); err != nil {
			return fmt.Errorf("user %s: password: %w", u.Name, err)
		}
	}
	for _, key := range u.Keys {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("user %s: %w", u.Name, err)
		}
	}
	for _, line := range u.Authorized {
		if err := checkKey(line.Key); err != nil {
			return fmt.Errorf("user %s: %w", u.Name, err)
		}
	}
	for _, group := range u.Groups {
		if err := checkHosts(group.Hosts); err != nil {
			return fmt.Errorf("group %s: %w", group.Name, err)
		}
	}
	if err := checkHosts(u.Hosts); err != nil {
		return fmt.Errorf("user %s: %w", u.Name, err)
	}
	return nil
}
