package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/scrape"
)

// Readers for the values in gateway.yaml. Each reads one node. For a nil or invalid
// node it returns the zero value.

func (d *document) name(n *yaml.Node, what string) string {
	name, ok := d.text(n, what)
	if !ok {
		return ""
	}
	if err := auth.CheckName(name); err != nil {
		d.wrong(n.Line, "%s: %v", what, err)
	}
	return name
}

// account reads an account, which may be empty for the host's own.
func (d *document) account(n *yaml.Node) string {
	if n != nil && n.Kind == yaml.ScalarNode && n.Value == "" {
		return ""
	}
	return d.name(n, "account")
}

func (d *document) listen(n *yaml.Node) string {
	address, ok := d.text(n, "listen")
	if ok && !isAddress(address, 0) {
		d.wrong(n.Line, "listen must be an address; write :2222 or 127.0.0.1:2222")
	}
	return address
}

func (d *document) address(n *yaml.Node) string {
	address, ok := d.text(n, "address")
	if ok && (!isAddress(address, 1) || strings.HasPrefix(address, ":")) {
		d.wrong(n.Line, "address must be host:port, such as 127.0.0.1:4432")
	}
	return address
}

func isAddress(s string, minPort uint64) bool {
	host, port, err := net.SplitHostPort(s)
	number, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && number >= minPort && !strings.ContainsAny(host, " \t/@")
}

// absolute reads the path of one of the gateway's own directories.
func (d *document) absolute(n *yaml.Node, what, example string) string {
	dir, ok := d.text(n, what)
	if ok && !filepath.IsAbs(dir) {
		d.wrong(n.Line, "%s must be an absolute path, such as %s", what, example)
	}
	return dir
}

// docker reads the address of an engine. If mayBeNone, it may also say that there is
// none.
func (d *document) docker(n *yaml.Node, mayBeNone bool) string {
	engine, ok := d.text(n, "docker")
	if ok && !isEngine(engine) && !(mayBeNone && engine == hosts.NoEngine) {
		d.wrong(n.Line, "docker must be unix:///var/run/docker.sock or the like, tcp://host:port or ssh://user@host")
	}
	return engine
}

func (d *document) duration(n *yaml.Node, what string, missing time.Duration) time.Duration {
	length, ok := d.time(n, what, time.Hour, fmt.Sprintf("must be a time from 1s to 1h, such as %v", missing))
	if !ok {
		return missing
	}
	return length
}

func (d *document) linger(n *yaml.Node) time.Duration {
	length, ok := d.time(n, "linger", maxLinger, "must be a time from 1s to 720h in hours, minutes or seconds, such as 72h, 30m or 90s")
	if !ok {
		return defaultLinger
	}
	return length
}

// metrics reads an address that only this machine can reach: the metrics show how
// much people do, and whoever reads them is not authenticated.
func (d *document) metrics(n *yaml.Node) string {
	address, ok := d.text(n, "metrics")
	if !ok {
		return ""
	}
	if !scrape.IsHere(address) {
		d.wrong(n.Line, "metrics must be an address of this machine alone; write 127.0.0.1:9222 or unix:/run/berth/metrics.sock")
	}
	return address
}

// time reads a duration of at least a second and at most most.
func (d *document) time(n *yaml.Node, what string, most time.Duration, right string) (length time.Duration, given bool) {
	text, ok := d.text(n, what)
	if !ok {
		return 0, false
	}
	length, err := time.ParseDuration(text)
	if err != nil || length < time.Second || length > most {
		d.wrong(n.Line, "%s %s", what, right)
	}
	return length, true
}

const maxLimit = 10_000

func (d *document) limits(n *yaml.Node) auth.Limits {
	if n == nil {
		return auth.Limits{}
	}
	given := d.fields(n, "limits", "connections", "sessions", "forwards", "idle", "total")
	const right = "must be a time from 1s to 720h, such as 30m or 12h"
	idle, _ := d.time(given["idle"], "idle", 720*time.Hour, right)
	total, _ := d.time(given["total"], "total", 720*time.Hour, right)
	return auth.Limits{
		Connections: d.number(given["connections"], "connections", maxLimit),
		Sessions:    d.number(given["sessions"], "sessions", maxLimit),
		Forwards:    d.number(given["forwards"], "forwards", maxLimit),
		Idle:        idle,
		Total:       total,
	}
}

func isEngine(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "unix":
		return u.Host == "" && filepath.IsAbs(u.Path)
	case "tcp":
		return isAddress(u.Host, 1)
	case "ssh":
		return u.Hostname() != "" && !strings.HasPrefix(u.Hostname(), "-") && u.RawQuery == "" && u.Fragment == ""
	default:
		return false
	}
}

func (d *document) container(n *yaml.Node) string {
	container, ok := d.text(n, "container")
	if ok && (container == "" || strings.ContainsFunc(container, notInContainerName)) {
		d.wrong(n.Line, "container must be a name or id, as docker ps shows it")
	}
	return container
}

func notInContainerName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return r != '_' && r != '.' && r != '-'
}

func (d *document) password(n *yaml.Node) string {
	hash, ok := d.text(n, "password")
	if !ok {
		return ""
	}
	d.secret = true
	if err := auth.CheckHash(hash); err != nil {
		d.wrong(n.Line, "password: %v; make one with: berth-gateway hash-password", err)
	}
	if doubt := auth.Doubt(hash); doubt != "" {
		d.warn(n.Line, "password: %s; make one with: berth-gateway hash-password", doubt)
	}
	return hash
}

func (d *document) publicKey(n *yaml.Node, what string) ssh.PublicKey {
	line, ok := d.text(n, what)
	if !ok {
		return nil
	}
	key, err := auth.ParseKey(line)
	if err != nil {
		d.wrong(n.Line, "%s: %v", what, err)
	}
	return key
}

// keyFile reads a private key; a relative path is relative to the configuration.
func (d *document) keyFile(n *yaml.Node) ssh.Signer {
	path, ok := d.text(n, "key_file")
	if !ok {
		return nil
	}
	if path == "" || strings.ContainsAny(path, "\x00\n") {
		d.wrong(n.Line, "key_file must be the path of a private key, not the key")
		return nil
	}
	path = d.beside(path)
	d.files = append(d.files, path)
	key, err := readKey(path)
	if err != nil {
		d.wrong(n.Line, "key_file: %s %v", path, err)
	}
	return key
}

func readKey(path string) (ssh.Signer, error) {
	data, mode, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if mode&0o026 != 0 {
		return nil, fmt.Errorf("is open to others (mode %04o); run: chmod g-w,o-rwx %s", mode, path)
	}
	key, err := ssh.ParsePrivateKey(data)
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		return nil, errors.New("has a passphrase; use a key without one")
	}
	if err != nil {
		return nil, errors.New("is not a private key; use one that ssh-keygen made")
	}
	return key, nil
}
