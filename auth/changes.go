package auth

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Change is one difference between a policy and the next one.
type Change struct {
	User string // whose it is; "" where it is everybody's
	What string // user, grant, password, service, key, authority, revoked or login
	How  string // added, removed or changed
	Of   string // the hosts of a grant, the fingerprint of a key
	Line string // where a grant is written
}

const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

// Changes returns the differences between two policies, in the order of users' names.
func Changes(before, next *Policy) []Change {
	var all []Change
	for _, name := range sortedKeys(before.users, next.users) {
		all = append(all, compareUsers(name, before, next)...)
	}
	authorities := func(p *Policy) map[string]any {
		items := map[string]any{}
		for _, key := range p.authorities {
			items[ssh.FingerprintSHA256(key)] = true
		}
		return items
	}
	all = append(all, compare(Change{What: "grant"}, before.groupGrants(), next.groupGrants())...)
	all = append(all, compare(Change{What: "authority"}, authorities(before), authorities(next))...)
	if !reflect.DeepEqual(before.revoked, next.revoked) {
		all = append(all, Change{What: "revoked", How: changed})
	}
	if !reflect.DeepEqual(before.rules, next.rules) {
		all = append(all, Change{What: "login", How: changed})
	}
	return all
}

func compareUsers(name string, before, next *Policy) []Change {
	was, is := before.users[name], next.users[name]
	user := func(u *user) map[string]any {
		if u == nil {
			return nil
		}
		return map[string]any{"": true}
	}
	all := compare(Change{User: name, What: "user"}, user(was), user(is))
	all = append(all, compare(Change{User: name, What: "grant"}, was.grants(), is.grants())...)
	all = append(all, compare(Change{User: name, What: "password"}, was.passwords(), is.passwords())...)
	all = append(all, compare(Change{User: name, What: "service"}, was.services(), is.services())...)
	all = append(all, compare(Change{User: name, What: "key"}, before.keys.of(name), next.keys.of(name))...)
	for i := range all {
		if all[i].What == "grant" {
			all[i].Line = cmp.Or(is.lineOf(all[i].Of), was.lineOf(all[i].Of))
		}
	}
	return all
}

// compare returns what was added, removed or changed between two sets of named
// things.
func compare(as Change, before, next map[string]any) []Change {
	var all []Change
	for _, name := range sortedKeys(before, next) {
		was, had := before[name]
		is, has := next[name]
		change := as
		change.Of = name
		switch {
		case !had:
			change.How = added
		case !has:
			change.How = removed
		case !reflect.DeepEqual(was, is):
			change.How = changed
		default:
			continue
		}
		all = append(all, change)
	}
	return all
}

func sortedKeys[T any](a, b map[string]T) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(names)
	return slices.Compact(names)
}

// grants returns a user's grants, named by their hosts and by the group that gives
// them.
func (u *user) grants() map[string]any {
	if u == nil {
		return nil
	}
	all := map[string]any{}
	for _, line := range u.lines {
		grant := line.Grant
		grant.Line = "" // it may move
		all[line.title()] = grant
	}
	return all
}

func (l GrantLine) title() string {
	if l.Group == "" {
		return l.Hosts
	}
	return l.Hosts + " by group " + l.Group
}

func (u *user) lineOf(title string) string {
	if u == nil {
		return ""
	}
	i := slices.IndexFunc(u.lines, func(l GrantLine) bool { return l.title() == title })
	if i < 0 {
		return ""
	}
	return u.lines[i].Line
}

func (u *user) passwords() map[string]any {
	if u == nil || u.shown == "" {
		return nil
	}
	return map[string]any{"": u.shown}
}

// services returns a user's names at services, named by service.
func (u *user) services() map[string]any {
	all := map[string]any{}
	if u != nil {
		for service, name := range u.at {
			all[string(service)] = name
		}
	}
	return all
}

// groupGrants returns the grants of service groups, named by their hosts and the
// groups.
func (p *Policy) groupGrants() map[string]any {
	all := map[string]any{}
	for _, group := range p.groups {
		for _, at := range group.At {
			for _, line := range group.lines {
				grant := line.Grant
				grant.Line = "" // it may move
				all[line.title()+", "+at.String()] = grant
			}
		}
	}
	return all
}

// of returns a user's lines, named by the fingerprints of their keys.
func (r keyring) of(user string) map[string]any {
	all := map[string]any{}
	for fingerprint, owners := range r {
		if lines := owners.lines[user]; lines != nil {
			all[fingerprint] = withoutKeys(lines)
		}
	}
	return all
}

func withoutKeys(lines []Authorized) []Authorized {
	lines = slices.Clone(lines)
	for i := range lines {
		lines[i].Key = nil
	}
	return lines
}
