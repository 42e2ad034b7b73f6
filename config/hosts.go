package config

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
)

func (d *document) host(name, value *yaml.Node) hosts.Entry {
	given := d.fields(value, "a host", "route", "address", "container", "box", "account", "key_file", "host_key")
	route, _ := d.text(given["route"], "route")
	entry := hosts.Entry{
		Name:      d.name(name, "host"),
		Route:     route,
		Address:   d.address(given["address"]),
		Container: d.container(given["container"]),
		Box:       d.name(given["box"], "box"),
		Account:   d.hostAccount(given),
		Key:       d.keyFile(given["key_file"]),
		HostKey:   d.publicKey(given["host_key"], "host_key"),
	}
	r := routeCheck{d, given, route, name.Line}
	switch route {
	case labels.RouteSshd:
		r.sshd()
	case labels.RouteExec:
		r.needs("container", "write the name or id that docker ps shows")
		r.refuses("address", "key_file", "host_key")
	case labels.RouteLocal:
		r.refuses("address", "container", "box", "key_file", "host_key")
	case "":
		d.wrong(name.Line, "host %.64q has no route; write route: sshd, exec or local", name.Value)
	default:
		known := []string{labels.RouteSshd, labels.RouteExec, labels.RouteLocal}
		d.wrong(given["route"].Line, "unknown route %.64q; %s", route, suggest(route, known))
	}
	return entry
}

// hostAccount reads the account of a host. For an sshd at an address it may be a
// login of another gateway, which answers at that address.
func (d *document) hostAccount(given map[string]*yaml.Node) string {
	n := given["account"]
	if n != nil && given["address"] != nil && n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "+") {
		if login, err := auth.ParseLogin(n.Value); err == nil {
			return login.String()
		}
	}
	return d.account(n)
}

// routeCheck finds fields of a host that its route needs, or that its route does not
// allow.
type routeCheck struct {
	d     *document
	given map[string]*yaml.Node
	route string
	line  int // of the host's name
}

func (r routeCheck) sshd() {
	switch {
	case r.given["address"] == nil && r.given["container"] == nil:
		r.d.wrong(r.line, "route sshd needs an address or a container; write one of them")
	case r.given["address"] == nil:
		r.route = "sshd into a container" // which has the user CA and a pinned host key
		r.refuses("key_file", "host_key")
	case r.given["container"] != nil:
		r.d.wrong(r.given["container"].Line, "route sshd takes an address or a container; leave one out")
	default:
		r.refuses("box")
		r.needs("host_key", "write the line of its /etc/ssh/ssh_host_ed25519_key.pub")
	}
}

func (r routeCheck) needs(field, hint string) {
	if r.given[field] == nil {
		r.d.wrong(r.line, "route %s needs %s; %s", r.route, field, hint)
	}
}

func (r routeCheck) refuses(fields ...string) {
	for _, field := range fields {
		if n := r.given[field]; n != nil {
			r.d.wrong(n.Line, "route %s takes no %s; leave it out", r.route, field)
		}
	}
}
