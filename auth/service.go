package auth

import (
	"fmt"
	"maps"
	"slices"
)

// Service is where people are known besides the configuration.
type Service string

const (
	LDAP Service = "ldap" // a directory, which judges passwords (RFC 4511)
	OIDC Service = "oidc" // an OpenID provider, at which people approve a login (RFC 8628)
)

// methods are how a person of a service shows to be one.
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

// Person is what a service says of somebody.
type Person struct {
	Name   string
	Groups []string
}

// WithGroups grants what groups have to the people of services who are in them,
// whether or not the policy has such a user.
func WithGroups(groups ...Group) Option {
	return func(p *Policy) {
		for _, group := range groups {
			p.groups = append(p.groups, serviceGroup{group, linesOf(group.Name, group.Hosts)})
		}
	}
}

// WithLimits limits everyone, where neither the user nor a group does.
func WithLimits(everyone Limits) Option { return func(p *Policy) { p.everyone = everyone } }

// serviceGroup is a group with people of services.
type serviceGroup struct {
	Group
	lines []GrantLine
}

// addAt keeps what services call a user. One name is of one user: otherwise it
// would not be known which rules are for it.
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

// NameAt is what a service calls whoever logs in as a user, if such a person may
// come by that service: one of the policy's users who does, or anybody whom the
// policy does not know, where it has groups of the service. A name that belongs to
// one of the users is nobody else's: otherwise who is asked for more than a password
// could come under another name.
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

// By identifies a user by what a service says of who has proved to be the person
// there, or returns [ErrDenied]: the name must be the one that the login asks for,
// and there must be something that is known of such a person here.
func (p *Policy) By(service Service, login string, proved Person) (Identity, error) {
	l, _ := ParseLogin(login) // no service has the empty name
	name, ok := p.NameAt(service, l.User)
	who := Identity{User: l.User, Login: l, Method: service.method(), Service: service, Credential: proved.Name, Groups: proved.Groups}
	if !ok || name != proved.Name || p.person(who) == nil {
		return Identity{}, ErrDenied
	}
	return who, nil
}

// Now is the identity as a service tells of it now. Nil is that there is no such
// person any more: then the steps that were proved there prove nothing.
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

// At are the names by which a service knows who logged in, by one of the steps.
func (i Identity) At(service Service) (name string, ok bool) {
	for step := &i; step != nil; step = step.Before {
		if step.Service == service && step.Credential != "" {
			return step.Credential, true
		}
	}
	return "", false
}

// isIn reports whether a service has said, at one of the steps, that the person is
// in one of some groups.
func (i Identity) isIn(groups []ServiceGroup) bool {
	for step := &i; step != nil; step = step.Before {
		in := func(at ServiceGroup) bool { return at.Service == step.Service && slices.Contains(step.Groups, at.Name) }
		if slices.ContainsFunc(groups, in) {
			return true
		}
	}
	return false
}

// person is what is granted to an identity: what its user has, and what the groups
// have that it is in at services; nil for nobody.
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
