package auth

import (
	"fmt"
	"maps"
	"slices"
)

// Service is a system outside of the configuration that knows people.
type Service string

const (
	LDAP Service = "ldap" // a directory, which judges passwords (RFC 4511)
	OIDC Service = "oidc" // an OpenID provider, at which people approve a login (RFC 8628)
)

// method returns how a service's people prove who they are.
func (s Service) method() Method {
	if s == OIDC {
		return ByApproval
	}
	return ByPassword
}

// ServiceGroup is a group of people at a service.
type ServiceGroup struct {
	Service Service
	Name    string
}

func (g ServiceGroup) String() string { return string(g.Service) + ":" + g.Name }

// Person is what a service says about somebody.
type Person struct {
	Name   string
	Groups []string
}

// WithGroups gives the grants of groups to the people of services who are in them,
// whether or not the policy has a user for them.
func WithGroups(groups ...Group) Option {
	return func(p *Policy) {
		for _, group := range groups {
			p.groups = append(p.groups, serviceGroup{group, linesOf(group.Name, group.Hosts)})
		}
	}
}

// WithLimits sets the limits of everybody for whom neither the user nor a group has
// any.
func WithLimits(everyone Limits) Option { return func(p *Policy) { p.everyone = everyone } }

// serviceGroup is a group whose members are people of services.
type serviceGroup struct {
	Group
	lines []GrantLine
}

// addAt records the user's names at services. Two users may not have the same name:
// it would be unknown which of their rules apply.
func (p *Policy) addAt(u User) error {
	for _, service := range slices.Sorted(maps.Keys(u.At)) {
		name := u.At[service]
		if p.services[service] == nil {
			p.services[service] = map[string]string{}
		}
		if other, twice := p.services[service][name]; twice {
			return fmt.Errorf("users %s and %s are the same person of %s", other, u.Name, service)
		}
		p.services[service][name] = u.Name
	}
	return nil
}

// NameAt returns the name to ask a service about when somebody logs in as a user. ok
// is false if nobody may log in so by that service. A user of the policy has a name
// at the service, or none. A user that the policy does not know has the same name
// there, if the policy has groups of the service. But a name that belongs to a user
// of the policy is valid for no other login: otherwise a person who must prove more
// than a password could log in under another name without that.
func (p *Policy) NameAt(service Service, user string) (name string, ok bool) {
	if known := p.users[user]; known != nil {
		name, ok = known.at[service]
		return name, ok
	}
	_, taken := p.services[service][user]
	return user, user != "" && !taken && slices.ContainsFunc(p.groups, func(g serviceGroup) bool { return g.isOf(service) })
}

// isOf reports whether people of a service may be in the group.
func (g Group) isOf(service Service) bool {
	return slices.ContainsFunc(g.At, func(at ServiceGroup) bool { return at.Service == service })
}

// By returns the identity of a person whose proof a service has accepted, or
// [ErrDenied]. The service's name for the person must be the one that belongs to the
// login, and the policy must know the person, as a user or by a group.
func (p *Policy) By(service Service, login string, proved Person) (Identity, error) {
	l, _ := ParseLogin(login) // no service has the empty name
	name, ok := p.NameAt(service, l.User)
	who := Identity{User: l.User, Login: l, Method: service.method(), Service: service, Credential: proved.Name, Groups: proved.Groups}
	if !ok || name != proved.Name || p.person(who) == nil {
		return Identity{}, ErrDenied
	}
	return who, nil
}

// Now returns the identity as a service describes it now. A nil person says that the
// service does not know the person any more: then the steps that it judged prove
// nothing.
func (i Identity) Now(service Service, person *Person) Identity {
	if i.Before != nil {
		before := i.Before.Now(service, person)
		i.Before = &before
	}
	switch {
	case i.Service != service:
	case person == nil:
		i.Credential, i.Groups = "", nil
	default:
		i.Groups = person.Groups
	}
	return i
}

// At returns the name by which a service knows the person, from one of the steps.
func (i Identity) At(service Service) (name string, ok bool) {
	for step := &i; step != nil; step = step.Before {
		if step.Service == service && step.Credential != "" {
			return step.Credential, true
		}
	}
	return "", false
}

// isIn reports whether a service has said, at one of the steps, that the person is in
// one of the groups.
func (i Identity) isIn(groups []ServiceGroup) bool {
	for step := &i; step != nil; step = step.Before {
		in := func(at ServiceGroup) bool { return at.Service == step.Service && slices.Contains(step.Groups, at.Name) }
		if slices.ContainsFunc(groups, in) {
			return true
		}
	}
	return false
}

// person returns everything that is granted to an identity: by its user, and by its
// groups at services. It returns nil if the policy knows neither.
func (p *Policy) person(who Identity) *user {
	all := &user{}
	known := p.users[who.User]
	if known != nil {
		*all = *known
	}
	isIn := false
	for _, group := range p.groups {
		if who.isIn(group.At) {
			isIn = true
			all.lines = append(slices.Clip(all.lines), group.lines...)
			all.limits = all.limits.Or(group.Limits)
		}
	}
	if known == nil && !isIn {
		return nil
	}
	all.limits = all.limits.Or(p.everyone)
	return all
}
