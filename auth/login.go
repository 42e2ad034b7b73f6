package auth

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of names and logins, in bytes. They are checked before anything else.
const (
	maxName  = 64
	maxLogin = 3*maxName + 2 // user+account@host
)

// errLogin does not quote the login: people type passwords in its place.
var errLogin = errors.New("not a login; write user, user+host or user+account@host")

// Login is what a client sends as its user name (RFC 4252, section 5): the user and,
// if given, the host and the account.
type Login struct {
	User    string
	Host    string // "": the only host the user may enter
	Account string // "": the account that the user was granted
}

// ParseLogin parses user, user+host, user+account@host or user@host, where the last
// means user+host. Names must satisfy [CheckName]; their case is kept, and nothing is
// trimmed. A space stands for a +: OpenSSH's client turns the + of
// ssh://user+host@box into a space, which no name contains.
func ParseLogin(s string) (Login, error) {
	if len(s) > maxLogin {
		return Login{}, errLogin
	}
	login, ok := splitLogin(strings.Replace(s, " ", "+", 1))
	if !ok {
		return Login{}, errLogin
	}
	return login, nil
}

func splitLogin(s string) (Login, bool) {
	user, place, named := strings.Cut(s, "+")
	if !named {
		user, host, named := strings.Cut(s, "@")
		return Login{User: user, Host: host}, isName(user) && (!named || isName(host))
	}
	account, host, both := strings.Cut(place, "@")
	if !both {
		return Login{User: user, Host: place}, isName(user) && isName(place)
	}
	return Login{User: user, Host: host, Account: account}, isName(user) && isName(host) && isName(account)
}

// String returns the login in the form that [ParseLogin] parses.
func (l Login) String() string {
	switch {
	case l.Host == "":
		return l.User
	case l.Account == "":
		return l.User + "+" + l.Host
	default:
		return l.User + "+" + l.Account + "@" + l.Host
	}
}

// CheckName returns an error if the name of a user, host or account is not valid.
func CheckName(name string) error {
	if isName(name) {
		return nil
	}
	return fmt.Errorf("%.64q is not a name; use a letter, digit or _, then letters, digits, _ . and -, at most %d in all", name, maxName)
}

func isName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '_' || c == '.' || c == '-'
}
