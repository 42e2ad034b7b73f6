package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-ssh/berth/auth"
)

// Explained is one thing that a user may or may not do on a host.
type Explained struct{ What, Answer string }

// Explain returns what an identity may do on a host, and which line says so. The
// identity may be of a person whom only a service knows. The error says why the host
// may not be entered.
func (c Config) Explain(who auth.Identity, host auth.Host) ([]Explained, error) {
	user := who.User
	var names []string
	for _, u := range c.Users {
		names = append(names, u.Name)
	}
	if !slices.Contains(names, user) && who.Service == "" {
		return nil, fmt.Errorf("there is no user %.64q; %s", user, suggest(user, names))
	}
	lines := c.Policy.Explain(who, host)
	decides := slices.IndexFunc(lines, func(line auth.GrantLine) bool { return line.Until.IsZero() || time.Now().Before(line.Until) })
	switch {
	case decides < 0 && len(lines) > 0:
		return nil, fmt.Errorf("%s may not enter host %s any more: the grant of %s has ended", user, host.Name, lines[0].Line)
	case decides < 0:
		return nil, fmt.Errorf("%s may not enter host %s: nothing that is granted to %s is for it", user, host.Name, user)
	}
	line := lines[decides]
	rows := append([]Explained{
		{"user", user},
		{"host", host.Name},
		{"by", lineOf(line)},
		{"account", accounts(line.Grant, host)},
	}, rights(line.Grant)...)
	for _, other := range lines[decides+1:] {
		rows = append(rows, Explained{"also", lineOf(other) + ", where the first does not hold"})
	}
	return rows, nil
}

// WhoMayEnter are the users who are granted a host, and by which lines.
func (c Config) WhoMayEnter(host auth.Host) (users []string, lines []auth.GrantLine) {
	for _, who := range c.Identities() {
		if granted := c.Policy.Explain(who, host); len(granted) > 0 {
			users, lines = append(users, who.User), append(lines, granted...)
		}
	}
	return users, lines
}

// Granted are the users of each name, pattern, project and label of hosts that is
// granted.
func (c Config) Granted() map[string][]string {
	users := make(map[string][]string)
	add := func(user string, hosts map[string]auth.Grant) {
		for host := range hosts {
			if !slices.Contains(users[host], user) {
				users[host] = append(users[host], user)
			}
		}
	}
	for _, user := range c.Users {
		add(user.Name, user.Hosts)
		for _, group := range user.Groups {
			add(user.Name, group.Hosts)
		}
	}
	for _, group := range c.Groups {
		for _, at := range group.At {
			add(at.String(), group.Hosts)
		}
	}
	return users
}

func lineOf(line auth.GrantLine) string {
	whose := "hosts of the user"
	if line.Group != "" {
		whose = "group " + line.Group
	}
	return fmt.Sprintf("%s, %s, %s", line.Line, whose, line.Hosts)
}

func accounts(grant auth.Grant, host auth.Host) string {
	switch {
	case len(grant.Accounts) > 1:
		return fmt.Sprintf("%s, or if named %s", grant.Accounts[0], strings.Join(grant.Accounts[1:], ", "))
	case len(grant.Accounts) == 1:
		return grant.Accounts[0]
	case host.Account != "":
		return host.Account + " (the host's own)"
	}
	return "the host's own"
}

// rights returns the rights of a grant in the words of gateway.yaml.
func rights(grant auth.Grant) []Explained {
	return []Explained{
		{"shell", yesOrNo(!grant.NoShell)},
		{"exec", listed(grant.NoExec, grant.Commands, strconv.Quote)},
		{"sftp", sftpOf(grant)},
		{"local_forwards", listed(grant.NoLocal, grant.Open, auth.Destination.String)},
		{"remote_forwards", listed(grant.NoRemote, grant.Listen, auth.Destination.String)},
		{"streamlocal", yesOrNo(!grant.NoStreamlocal)},
		{"agent", yesOrNo(!grant.NoAgent)},
		{"x11", yesOrNo(!grant.NoX11)},
		{"until", untilOf(grant)},
		{"from", fromOf(grant)},
		{"sessions", sessionsOf(grant)},
	}
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func listed[T any](none bool, list []T, text func(T) string) string {
	if none || list == nil {
		return yesOrNo(!none)
	}
	var texts []string
	for _, item := range list {
		texts = append(texts, text(item))
	}
	return "only " + strings.Join(texts, ", ")
}

func sftpOf(grant auth.Grant) string {
	text := yesOrNo(!grant.NoSftp)
	if grant.NoSftp {
		return text
	}
	if grant.ReadOnlySftp {
		text = "read-only"
	}
	if grant.SftpDirectory != "" {
		text += ", in " + grant.SftpDirectory + " alone"
	}
	return text
}

func untilOf(grant auth.Grant) string {
	if grant.Until.IsZero() {
		return "no end"
	}
	return grant.Until.Format("2006-01-02 15:04 MST")
}

func fromOf(grant auth.Grant) string {
	if grant.From == nil {
		return "anywhere"
	}
	var networks []string
	for _, network := range grant.From {
		networks = append(networks, network.String())
	}
	return strings.Join(networks, ", ")
}

func sessionsOf(grant auth.Grant) string {
	if grant.Sessions == 0 {
		return "no limit"
	}
	return strconv.Itoa(grant.Sessions)
}
