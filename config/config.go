// Package config reads gateway.yaml. For each error it says the line and what would
// be right.
//
// [Load] reads a file into a [Config], in which all defaults are filled in and
// everything is checked. It is strict: an unknown key, a value of the wrong kind, or
// a file that others may write is an error. All errors are reported together, as
// [Errors]. config.go has the keys of the file; hosts.go, users.go and grants.go have
// those of a host, a user and a grant; values.go has each kind of value; document.go
// has the YAML below them.
//
// The package is larger than others because all keys are read by the same reader,
// which knows their lines, and are checked against each other.
//
// [Watch] reports changes of the files. [Config.NeedsRestart] returns the changes
// that a running gateway cannot take over.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/directory"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keysource"
	"github.com/berth-ssh/berth/openid"
	"github.com/berth-ssh/berth/recording"
	"github.com/berth-ssh/berth/state"
)

const (
	// DefaultPath is the path of the file unless a flag gives another one.
	DefaultPath = "/etc/berth/gateway.yaml"

	defaultListen = ":2222"
	defaultDocker = "unix:///var/run/docker.sock"

	defaultKeepalive = 30 * time.Second
	defaultWait      = 30 * time.Second
	defaultLinger    = 72 * time.Hour
	maxLinger        = 30 * 24 * time.Hour
)

// Config is the content of gateway.yaml, with defaults filled in and everything
// checked.
type Config struct {
	Listen string // host:port
	State  string // the state directory
	Keys   string // the directory of the gateway's own keys, which it only reads; "": they are in State
	Docker string // the engine, as in DOCKER_HOST; hosts.NoEngine for none

	Keepalive time.Duration // silence after which a peer is asked for a sign of life
	Wait      time.Duration // how long a login waits for a host that is restarting

	Linger time.Duration // how long connections go on after another gateway has taken over

	Record recording.Settings // which terminals are recorded, and where

	Metrics string // where metrics and health are asked for: host:port or unix:PATH; "": nowhere

	// Exempt are networks whose failed logins are not counted.
	Exempt []netip.Prefix

	LogUnknownUsers bool // log the names of users that do not exist; they may be passwords

	Proxies []netip.Prefix // load balancers whose connections begin with a PROXY header

	Audit audit.Settings // without a file there is none

	Users  []auth.User
	Groups []auth.Group // groups for people of services
	Policy *auth.Policy // made of Users, Groups, and the other trusted keys
	Hosts  []hosts.Entry
	Boxes  []hosts.Box

	Clusters []hosts.Cluster

	LDAP *directory.Settings // nil for none
	OIDC *openid.Settings    // nil for none

	KeySources  []keysource.Source // from which users' keys are fetched
	RefreshKeys time.Duration      // how often they are fetched

	Files []string // files that the configuration names and that were read; set also if Load fails

	Warnings Errors // allowed, but probably not intended
}

// Load reads a configuration: the file at path, and all of users.d/*.yaml beside it,
// which may have users and groups. The error is [Errors], with everything that is
// wrong. If a file changes while it is read, Load reads all files again. That
// includes the files that these name.
func Load(path string) (Config, error) {
	var named []string
	for try := 0; ; try++ {
		before := Stamp(path, named...)
		config, err := load(path)
		isSame := slices.Equal(named, config.Files)
		named = config.Files
		if isSame && Stamp(path, named...) == before {
			return config, err
		}
		if try == maxTries {
			d := &document{path: path}
			d.wrong(0, "it changes again and again while it is read; try again when it is written")
			return Config{Files: named}, d.err()
		}
	}
}

// maxTries is how often Load reads files again that keep changing.
const maxTries = 20

func load(path string) (Config, error) {
	main := &document{path: path}
	data, mode, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; berth-gateway init writes the first one", err)
	}
	if err != nil {
		main.wrong(0, "%v", err)
		return Config{}, main.err()
	}
	var all people
	config := main.settings(data, &all)
	main.checkOwner(path)
	main.checkMode(mode)
	if info, err := os.Stat(usersDir(path)); err == nil && info.Mode()&0o022 != 0 {
		main.wrong(0, "others may write to users.d beside it (mode %04o); run: chmod go-w %s", info.Mode().Perm(), usersDir(path))
	}
	if _, err := os.Stat(usersDir(path)); err == nil {
		main.checkOwner(usersDir(path))
	}
	documents := []*document{main}
	for _, path := range usersFiles(path) {
		d := &document{path: path}
		documents = append(documents, d)
		d.usersFile(&all)
	}
	config, err = config.complete(all, documents)
	var named []string
	for _, d := range documents {
		named = append(named, d.files...)
	}
	slices.Sort(named)
	for _, d := range documents {
		for _, source := range d.sources {
			if !slices.Contains(config.KeySources, source) {
				config.KeySources = append(config.KeySources, source)
			}
		}
	}
	config.Files = slices.Compact(named)
	if err != nil {
		return Config{Files: config.Files}, err
	}
	return config, nil
}

// StateDir returns the state directory that a configuration names, also if other
// parts of the file are invalid. It returns the default if the file names none.
func StateDir(path string) string { return AsFarAsRead(path).State }

// AsFarAsRead returns the gateway's own settings in a file, also if other parts of
// the file are invalid. Missing settings have their defaults. Users and groups are
// left out.
func AsFarAsRead(path string) Config {
	data, _, _ := readFile(path)
	d := &document{path: path}
	return d.settings(data, &people{})
}

// usersFile reads a file of users.d.
func (d *document) usersFile(all *people) {
	data, mode, err := readFile(d.path)
	if err != nil {
		d.wrong(0, "%v", err)
		return
	}
	given := d.fields(d.parse(data), "a file of users.d", "users", "groups")
	d.people(given["users"], given["groups"], all)
	d.checkOwner(d.path)
	d.checkMode(mode)
}

// complete makes the policy of what was read, and returns all errors, document by
// document.
func (c Config) complete(all people, documents []*document) (Config, error) {
	main := documents[0]
	c.Users, c.Groups = all.resolve(), all.ofServices()
	rules := main.login(all.login, &all)
	main.checkServices(c, all)
	if len(c.Users) == 0 && len(c.Groups) == 0 && problems(documents) == nil { // as in a new installation
		main.warn(1, "there are no users, so nobody can log in; add one under users:")
	}
	if err := problems(documents); err != nil {
		return c, err
	}
	policy, err := auth.NewPolicy(c.Users, auth.WithAuthorities(all.authorities...), auth.WithRevoked(all.revoked), auth.WithRules(rules...),
		auth.WithGroups(c.Groups...), auth.WithLimits(all.limits))
	if err != nil {
		main.wrong(1, "%v", err)
		return c, main.err()
	}
	c.Policy = policy
	if policy.Kinds() > 1 {
		main.warn(1, "the passwords have hashes of %d kinds, and every attempt costs one of each; make them all with: berth-gateway hash-password", policy.Kinds())
	}
	var unenforced Errors
	checkRoutes(policy, c, func(place, text string) {
		path, line := splitPlace(place)
		unenforced = append(unenforced, Error{path, line, text})
	})
	if unenforced != nil {
		return c, slices.Compact(unenforced)
	}
	for _, d := range documents {
		c.Warnings = append(c.Warnings, d.warnings...)
	}
	return c, nil
}

func problems(documents []*document) error {
	var all Errors
	for _, d := range documents {
		if d.err() != nil {
			all = append(all, d.errs...)
		}
	}
	if all == nil {
		return nil
	}
	return all
}

// settings reads everything but users and groups, and adds these to all.
func (d *document) settings(data []byte, all *people) Config {
	given := d.fields(d.parse(data), "the file", "listen", "state", "keys", "docker", "keepalive", "wait", "linger", "refresh_keys", "metrics", "proxies", "exempt", "log_unknown_users", "audit", "record", "user_cas", "revoked", "login", "limits", "ldap", "oidc", "users", "groups", "hosts", "boxes", "clusters")
	c := Config{
		Listen: cmp.Or(d.listen(given["listen"]), defaultListen),
		State:  cmp.Or(d.absolute(given["state"], "state", state.DefaultDir), state.DefaultDir),
		Keys:   d.absolute(given["keys"], "keys", "/etc/berth/keys"),
		Docker: cmp.Or(d.docker(given["docker"], true), os.Getenv("DOCKER_HOST"), defaultDocker),

		Keepalive:   d.duration(given["keepalive"], "keepalive", defaultKeepalive),
		Wait:        d.duration(given["wait"], "wait", defaultWait),
		Linger:      d.linger(given["linger"]),
		RefreshKeys: d.duration(given["refresh_keys"], "refresh_keys", keysource.DefaultEvery),
		Metrics:     d.metrics(given["metrics"]),
		Proxies:     d.networks(given["proxies"], "proxies"),

		Exempt:          d.networks(given["exempt"], "exempt"),
		LogUnknownUsers: d.yes(given["log_unknown_users"], "log_unknown_users", false),

		Audit:  d.audit(given["audit"]),
		Record: d.record(given["record"]),
	}
	c.LDAP, c.OIDC = d.ldap(given["ldap"]), d.oidc(given["oidc"])
	all.fetched, all.keys = keysource.In(c.State), given["keys"]
	all.authorities, all.revoked, all.login = d.userCAs(given["user_cas"]), d.revoked(given["revoked"]), given["login"]
	all.limits = d.limits(given["limits"])
	d.people(given["users"], given["groups"], all)
	c.Boxes = d.boxes(given["boxes"])
	c.Clusters = d.clusters(given["clusters"], c.Boxes)
	var lines []int
	d.each(given["hosts"], "hosts", func(name, value *yaml.Node) {
		c.Hosts, lines = append(c.Hosts, d.host(name, value)), append(lines, name.Line)
	})
	d.checkBoxes(c, lines)
	d.checkKeys(c, given)
	return c
}
