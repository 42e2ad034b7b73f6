package auth

import (
	"fmt"

	"golang.org/x/crypto/ssh"
)

// User is a person who logs in to the gateway.
type User struct {
	Name     string
	Password string           // an argon2id or bcrypt hash; "": no password opens
	Keys     []ssh.PublicKey  // any one of them opens
	Hosts    map[string]Grant // by what [CheckSelector] takes: a host's name, a pattern and so on
	Groups   []Group          // asked after Hosts, in this order
	Limits   Limits

	Authorized []Authorized // any one of these lines opens, too, for those whom it admits
	Principals []string     // what a user CA's certificates call the user; nil: Name

	At map[Service]string // what services call the user, who may come by these; each is of one user
}

// check says what is wrong with the user, without any part of a credential.
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
