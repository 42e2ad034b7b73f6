package config

import (
	"net/url"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/directory"
	"github.com/berth-ssh/berth/openid"
	"github.com/berth-ssh/berth/trust"
)

const maxRemember = 30 * 24 * time.Hour

// ldap reads the address of a directory, and how to find people in it.
func (d *document) ldap(n *yaml.Node) *directory.Settings {
	if n == nil {
		return nil
	}
	given := d.fields(n, "ldap", "url", "ca", "user", "people", "bind", "password_file", "groups", "recheck")
	s := &directory.Settings{
		CA:   d.certificates(given["ca"]),
		User: d.checked(given["user"], "user", directory.CheckDN),
		Bind: d.checked(given["bind"], "bind", directory.CheckDN),

		PasswordFile: d.secretFile(given["password_file"], "password_file"),

		People: d.search(given["people"], "people", directory.Search{Filter: "(uid=%u)", Name: "uid"}),
		Groups: d.search(given["groups"], "groups", directory.Search{Filter: "(|(memberUid=%u)(member=%d)(uniqueMember=%d))", Name: "cn"}),
	}
	if s.URL = d.checked(given["url"], "url", directory.CheckURL); s.URL == "" {
		d.wrong(n.Line, "ldap has no url; write ldaps://ldap.example.org")
	}
	switch {
	case s.User == "" && s.People.Base == "":
		d.wrong(n.Line, "ldap does not say where people are; write user: \"uid=%%u,ou=people,dc=example,dc=org\", or people: {base: …, filter: …}")
	case s.User != "" && s.People.Base != "":
		d.wrong(n.Line, "ldap has both user and the base of people; keep one of them")
	case (s.Bind == "") != (s.PasswordFile == ""):
		d.wrong(n.Line, "bind and password_file of ldap go together")
	}
	s.Recheck, _ = d.time(given["recheck"], "recheck", 24*time.Hour, "must be a time from 1s to 24h, such as 5m")
	if s.Recheck > 0 && s.Bind == "" {
		d.wrong(given["recheck"].Line, "recheck needs bind and password_file: nobody's password is kept")
	}
	return s
}

func (d *document) search(n *yaml.Node, what string, missing directory.Search) directory.Search {
	if n == nil {
		return directory.Search{Filter: missing.Filter, Name: missing.Name}
	}
	given := d.fields(n, what+" of ldap", "base", "filter", "name")
	s := directory.Search{
		Base:   d.checked(given["base"], "base", directory.CheckDN),
		Filter: d.checked(given["filter"], "filter", directory.CheckFilter),
		Name:   d.checked(given["name"], "name", directory.CheckAttribute),
	}
	if s.Filter == "" {
		s.Filter = missing.Filter
	}
	if s.Name == "" {
		s.Name = missing.Name
	}
	return s
}

// oidc reads the settings of an OpenID provider.
func (d *document) oidc(n *yaml.Node) *openid.Settings {
	if n == nil {
		return nil
	}
	given := d.fields(n, "oidc", "issuer", "ca", "client", "secret_file", "scopes", "claim", "groups", "remember")
	s := &openid.Settings{
		CA:         d.certificates(given["ca"]),
		SecretFile: d.secretFile(given["secret_file"], "secret_file"),
		Scopes:     []string{"openid", "profile"},
		Claim:      "preferred_username",
	}
	s.Issuer, _ = d.text(given["issuer"], "issuer")
	if u, err := url.Parse(s.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		d.wrong(n.Line, "issuer of oidc must be an address such as https://login.example.org, as the provider writes it")
	}
	if s.Client, _ = d.text(given["client"], "client"); s.Client == "" {
		d.wrong(n.Line, "oidc has no client; write the id by which the provider knows this gateway")
	}
	if claim, ok := d.text(given["claim"], "claim"); ok {
		s.Claim = claim
	}
	s.Groups, _ = d.text(given["groups"], "groups")
	if scopes := given["scopes"]; scopes != nil {
		s.Scopes = []string{"openid"}
		for _, scope := range d.texts(scopes, "scopes") {
			if !slices.Contains(s.Scopes, scope.Value) {
				s.Scopes = append(s.Scopes, scope.Value)
			}
		}
	}
	s.Remember, _ = d.time(given["remember"], "remember", maxRemember, "must be a time from 1s to 720h, such as 12h")
	return s
}

// checked reads a scalar that check accepts.
func (d *document) checked(n *yaml.Node, what string, check func(string) error) string {
	text, ok := d.text(n, what)
	if !ok {
		return ""
	}
	if err := check(text); err != nil {
		d.wrong(n.Line, "%s is %v", what, err)
	}
	return text
}

// certificates reads the path of a file of trusted certificates.
func (d *document) certificates(n *yaml.Node) string {
	path := d.named(n, "ca")
	if path == "" {
		return ""
	}
	if _, err := trust.TLS(path); err != nil {
		d.wrong(n.Line, "ca: %v", err)
	}
	return path
}

// secretFile reads the path of a file with a secret.
func (d *document) secretFile(n *yaml.Node, what string) string {
	path := d.named(n, what)
	if path == "" {
		return ""
	}
	if _, err := trust.Secret(path); err != nil {
		d.wrong(n.Line, "%s: %v", what, err)
	}
	return path
}

// named reads the path of a file that is watched together with the configuration.
func (d *document) named(n *yaml.Node, what string) string {
	path, ok := d.text(n, what)
	if !ok || path == "" {
		return ""
	}
	path = d.beside(path)
	d.files = append(d.files, path)
	return path
}

// namedAt is a place in the files that names people or groups of a service.
type namedAt struct {
	service  auth.Service
	document *document
	line     int
}

func (p *people) namedAt(service auth.Service, d *document, line int) {
	p.services = append(p.services, namedAt{service, d, line})
}

// namesAt reads a user's names at services; yes stands for the user's own name.
func (d *document) namesAt(user string, given map[string]*yaml.Node, all *people) map[auth.Service]string {
	var names map[auth.Service]string
	for _, service := range []auth.Service{auth.LDAP, auth.OIDC} {
		n := given[string(service)]
		name, ok := d.text(n, string(service))
		switch {
		case !ok || name == "no" || name == "false":
			continue
		case name == "":
			d.wrong(n.Line, "%s must be yes, or what the user is called there", service)
		case name == "yes" || name == "true":
			name = user
		}
		if names == nil {
			names = map[auth.Service]string{}
		}
		names[service] = name
		all.namedAt(service, d, n.Line)
	}
	return names
}

// groupsAt reads the groups of a service whose people are members of a group: one, or
// a list.
func (d *document) groupsAt(n *yaml.Node, service auth.Service, all *people) []auth.ServiceGroup {
	if n == nil {
		return nil
	}
	all.namedAt(service, d, n.Line)
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = d.texts(n, string(service))
	}
	var groups []auth.ServiceGroup
	for _, item := range items {
		name, ok := d.text(item, string(service))
		if ok && name == "" {
			d.wrong(item.Line, "the name of a group of %s is empty", service)
		}
		groups = append(groups, auth.ServiceGroup{Service: service, Name: name})
	}
	return groups
}

// ofServices returns the groups with people of services, in the order of their names.
func (p *people) ofServices() []auth.Group {
	var groups []auth.Group
	for _, name := range p.groupNames() {
		if group := p.groups[name].Group; len(group.At) > 0 {
			groups = append(groups, group)
		}
	}
	return groups
}

// checkServices reports services that are named but not configured, and those that
// are configured but by which nobody may log in.
func (d *document) checkServices(c Config, all people) {
	there := map[auth.Service]bool{auth.LDAP: c.LDAP != nil, auth.OIDC: c.OIDC != nil}
	for _, service := range []auth.Service{auth.LDAP, auth.OIDC} {
		isUsed := false
		for _, at := range all.services {
			isUsed = isUsed || at.service == service
			if at.service == service && !there[service] {
				at.document.wrong(at.line, "there is no section %s: in %s; add it", service, d.path)
			}
		}
		if there[service] && !isUsed {
			d.warn(1, "no user and no group uses %[1]s; write %[1]s: yes for a user, or name a group of it with %[1]s: for a group", service)
		}
	}
}

// Identities returns one identity for each user, and one for each service group, of a
// member of it.
func (c Config) Identities() []auth.Identity {
	var all []auth.Identity
	for _, user := range c.Users {
		all = append(all, auth.Identity{User: user.Name})
	}
	for _, group := range c.Groups {
		for _, at := range group.At {
			all = append(all, auth.Identity{User: at.String(), Service: at.Service, Groups: []string{at.Name}})
		}
	}
	return all
}
