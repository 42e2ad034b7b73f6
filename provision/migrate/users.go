package migrate

import (
	"errors"
	"slices"

	"github.com/berth-ssh/berth/auth"
)

// User is one of the gateway's future users: the person with one password of an
// account, and all hosts where that was valid.
type User struct {
	Name    string // in gateway.yaml
	Account string
	Hosts   []string
}

// Users returns the users for the logins, in the order of the file.
func (m *Migration) Users() []User {
	var all []User
	for _, group := range m.groups() {
		first := m.Logins[group[0]]
		u := User{Name: first.User, Account: first.Account}
		for _, i := range group {
			u.Hosts = append(u.Hosts, m.Logins[i].Host)
		}
		all = append(all, u)
	}
	return all
}

// groups returns the logins of each user, as indices: those of one account with one
// password.
func (m *Migration) groups() [][]int {
	var all [][]int
	for i, l := range m.Logins {
		k := slices.IndexFunc(all, func(group []int) bool {
			other := m.Logins[group[0]]
			return other.Account == l.Account && other.password == l.password
		})
		if k < 0 {
			all = append(all, nil)
			k = len(all) - 1
		}
		all[k] = append(all[k], i)
	}
	return all
}

// NameUsers calls name for each user, with a suggestion: the account's name if it has
// one password everywhere, or else account-host.
func (m *Migration) NameUsers(name func(User) string) {
	groups := m.groups()
	for k, u := range m.Users() {
		u.Name = u.Account
		for j, other := range groups {
			if j != k && m.Logins[other[0]].Account == u.Account {
				u.Name = u.Account + "-" + u.Hosts[0]
			}
		}
		chosen := name(u)
		for _, i := range groups[k] {
			m.Logins[i].User = chosen
		}
	}
}

var errTaken = errors.New("that is another user's name already; a user has one password")

// CheckName returns an error if a user cannot have a name. taken are the names of the
// others.
func CheckName(name string, taken []string) error {
	if slices.Contains(taken, name) {
		return errTaken
	}
	return auth.CheckName(name)
}
