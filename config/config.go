// Package config reads gateway.yaml. For each line that is wrong it says what
// would be right.
//
// [Load] reads a file into a [Config], in which every default is filled in and
// everything is checked. It is strict: an unknown key, a value of the wrong
// kind or a file that others may write is an error, and all errors of a file
// come together, as [Errors], each with its line. config.go has the keys of the
// file, hosts.go and users.go those of a host and a user, values.go each kind
// of value, document.go the YAML under them.
package config

import (
	"cmp"
	"os"
	"time"

	"go.yaml.in/yaml/v4"

	"berth/audit"
	"berth/auth"
	"berth/hosts"
	"berth/state"
)

const (
	// DefaultPath is where the file lies unless a flag says otherwise.
	DefaultPath = "/etc/berth/gateway.yaml"

	defaultListen = ":2222"
	defaultDocker = "unix:///var/run/docker.sock"

	defaultKeepalive = 30 * time.Second
	defaultWait      = 30 * time.Second
)

// Config is a gateway.yaml with its defaults filled in and everything checked.
type Config struct {
	Listen string // host:port
	State  string // the state directory
	Docker string // the engine, as in DOCKER_HOST

	Keepalive time.Duration // silence after which a peer is asked for a sign of life
	Wait      time.Duration // how long a login waits for a host that restarts

	Audit audit.Settings // without a file: none

	Users  []auth.User
	Policy *auth.Policy // made of Users
	Hosts  []hosts.Entry

	Warnings Errors // what is allowed, but probably not meant
}

// Load reads a configuration file. Its error is [Errors]: everything that is
// wrong with the file.
func Load(path string) (Config, error) {
	d := &document{path: path}
	data, mode, err := readFile(path)
	if err != nil {
		d.wrong(0, "%v", err)
		return Config{}, d.err()
	}
	config := d.config(data)
	if err := state.CheckOwner(path); err != nil {
		d.wrong(0, "%v", err)
	}
	d.checkMode(mode)
	if err := d.err(); err != nil {
		return Config{}, err
	}
	config.Warnings = d.warnings
	return config, nil
}

// config reads the whole file. What it returns is of use if d.err is nil.
func (d *document) config(data []byte) Config {
	given := d.fields(d.parse(data), "the file", "listen", "state", "docker", "keepalive", "wait", "audit", "user_cas", "revoked", "login", "users", "hosts")
	c := Config{
		Listen: cmp.Or(d.listen(given["listen"]), defaultListen),
		State:  cmp.Or(d.stateDir(given["state"]), state.DefaultDir),
		Docker: cmp.Or(d.docker(given["docker"]), os.Getenv("DOCKER_HOST"), defaultDocker),

		Keepalive: d.duration(given["keepalive"], "keepalive", defaultKeepalive),
		Wait:      d.duration(given["wait"], "wait", defaultWait),

		Audit: d.audit(given["audit"]),
	}
	authorities, revoked := d.userCAs(given["user_cas"]), d.revoked(given["revoked"])
	d.certified = len(authorities) > 0
	d.each(given["users"], "users", func(name, value *yaml.Node) {
		user := d.user(name, value)
		if len(user.Hosts) == 0 {
			d.warn(name.Line, "user %.64q has no hosts, so nothing can be entered; add them under hosts:", name.Value)
		}
		c.Users = append(c.Users, user)
	})
	d.each(given["hosts"], "hosts", func(name, value *yaml.Node) {
		c.Hosts = append(c.Hosts, d.host(name, value))
	})
	rules := d.login(given["login"], c.Users)
	if len(d.errs) > 0 {
		return c
	}
	if len(c.Users) == 0 {
		d.wrong(1, "there are no users; add one under users:")
		return c
	}
	policy, err := auth.NewPolicy(c.Users, auth.WithAuthorities(authorities...), auth.WithRevoked(revoked), auth.WithRules(rules...))
	if err != nil {
		d.wrong(given["users"].Line, "%v", err)
	}
	c.Policy = policy
	return c
}
