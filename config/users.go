package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keysource"
	"github.com/berth-ssh/berth/labels"
)

// people has the users and groups of all files.
type people struct {
	users  []user
	groups map[string]group
	places map[string]string // where each user was defined first, by name
	limits auth.Limits       // of everybody

	authorities []ssh.PublicKey // user CAs
	revoked     *auth.Revoked
	login       *yaml.Node // the rules; only the first file may have them
	keys        *yaml.Node // the directory of keys for several gateways; only the first file may have it
	services    []namedAt  // places that name people of services
	fetched     keysource.Cache
}

type user struct {
	auth.User
	document *document
	groups   []*yaml.Node // their names
}

type group struct {
	auth.Group
	place string
}

// people adds the users and groups of one file.
func (d *document) people(users, groups *yaml.Node, all *people) {
	if all.places == nil {
		all.places, all.groups = map[string]string{}, map[string]group{}
	}
	d.each(groups, "groups", func(name, value *yaml.Node) {
		if first, twice := all.groups[name.Value]; twice {
			d.wrong(name.Line, "group %.64q is given twice; keep this or the one at %s", name.Value, first.place)
			return
		}
		given := d.fields(value, "a group", "hosts", "limits", "ldap", "oidc")
		granted := auth.Group{
			Name: d.name(name, "group"), Hosts: d.grants(given["hosts"]), Limits: d.limits(given["limits"]),
			At: append(d.groupsAt(given["ldap"], auth.LDAP, all), d.groupsAt(given["oidc"], auth.OIDC, all)...),
		}
		all.groups[name.Value] = group{granted, d.place(name)}
	})
	if users != nil && users.Kind != yaml.MappingNode {
		d.wrong(users.Line, "users must be a mapping; write a line for each user, \"anna:\", and below it, indented, keys: and hosts:")
		return
	}
	d.each(users, "users", func(name, value *yaml.Node) {
		if slices.Contains(userKeys(), name.Value) && !hasUserKey(value) {
			d.wrong(name.Line, "%s stands beside the users; indent it further than the name of its user", name.Value)
			return
		}
		if first, twice := all.places[name.Value]; twice {
			d.wrong(name.Line, "user %.64q is given twice; keep this or the one at %s", name.Value, first)
			return
		}
		all.places[name.Value] = d.place(name)
		all.users = append(all.users, d.user(name, value, all))
	})
}

func userKeys() []string {
	return []string{"password", "keys", "authorized_keys", "principals", "ldap", "oidc", "hosts", "groups", "limits"}
}

// hasUserKey reports whether a mapping has a key that belongs to a user.
func hasUserKey(n *yaml.Node) bool {
	if n == nil || n.Kind != yaml.MappingNode {
		return false
	}
	for pair := range slices.Chunk(n.Content, 2) {
		if slices.Contains(userKeys(), pair[0].Value) {
			return true
		}
	}
	return false
}

func (d *document) place(n *yaml.Node) string { return fmt.Sprintf("%s:%d", d.path, n.Line) }

// splitPlace is the reverse of place.
func splitPlace(place string) (path string, line int) {
	colon := strings.LastIndexByte(place, ':')
	line, _ = strconv.Atoi(place[colon+1:])
	return place[:max(colon, 0)], line
}

// user reads one user, who needs no credential if certificates or services can log
// the user in.
func (d *document) user(name, value *yaml.Node, all *people) user {
	given := d.fields(value, "a user", userKeys()...)
	if given["password"] == nil && isEmpty(given["keys"]) && given["authorized_keys"] == nil && given["ldap"] == nil && given["oidc"] == nil && len(all.authorities) == 0 {
		d.wrong(name.Line, "user %.64q has neither password nor keys; give one of them", name.Value)
	}
	keys, restricted := d.keys(given["keys"], all.fetched)
	u := user{document: d, User: auth.User{
		Name:       d.name(name, "user"),
		Password:   d.password(given["password"]),
		Keys:       keys,
		Authorized: append(restricted, d.authorizedKeys(given["authorized_keys"])...),
		Principals: d.principals(given["principals"]),
		Hosts:      d.grants(given["hosts"]),
		Limits:     d.limits(given["limits"]),
		At:         d.namesAt(name.Value, given, all),
	}}
	d.list(given["groups"], "groups", func(item *yaml.Node) { u.groups = append(u.groups, item) })
	if len(u.Hosts) == 0 && len(u.groups) == 0 && len(u.At) == 0 {
		d.warn(name.Line, "user %.64q has no hosts, so nothing can be entered; add them under hosts:", name.Value)
	}
	return u
}

func isEmpty(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.SequenceNode && len(n.Content) == 0
}

// resolve gives each user the grants of its groups, and their limits where the user
// has none.
func (p people) resolve() []auth.User {
	var users []auth.User
	for _, u := range p.users {
		seen := map[string]bool{}
		for _, n := range u.groups {
			name := u.document.name(n, "group")
			found, exists := p.groups[name]
			switch {
			case auth.CheckName(name) != nil || seen[name]:
				continue
			case !exists:
				u.document.wrong(n.Line, "there is no group %.64q; %s", name, suggest(name, p.groupNames()))
				continue
			}
			seen[name] = true
			u.Groups = append(u.Groups, found.Group)
			u.Limits = u.Limits.Or(found.Limits)
		}
		users = append(users, u.User)
	}
	return users
}

// members returns the names of a group's users.
func (p people) members(group string) []string {
	var members []string
	for _, u := range p.users {
		if slices.ContainsFunc(u.groups, func(n *yaml.Node) bool { return n.Value == group }) {
			members = append(members, u.Name)
		}
	}
	return members
}

func (p people) groupNames() []string {
	var names []string
	for name := range p.groups {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// checkRoutes refuses grants with limits that the route of a host cannot enforce.
func checkRoutes(policy *auth.Policy, c Config, wrong func(place, text string)) {
	for _, entry := range c.Hosts {
		if entry.Route != labels.RouteSshd {
			continue
		}
		for _, who := range c.Identities() {
			for _, line := range policy.Explain(who, auth.Host{Name: entry.Name, Account: entry.Account}) {
				if line.LimitsSftp() {
					wrong(line.Line, fmt.Sprintf("sftp that is read-only or in a directory is not enforced by host %s of route sshd; use route exec, or sftp: no", entry.Name))
				}
			}
		}
	}
}
