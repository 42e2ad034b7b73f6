package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	project = "berth-bench"
	host    = project + "-master-1" // the container that provision makes
	twin    = project + "-twin"     // its like, as people made them before
	account = "developer"
	nobody  = 65534

	// network is the network of the host and of its twin, which is used as a bastion.
	network = project + "_default"

	// inspectAddress is what docker inspect says of a container's address.
	inspectAddress = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
)

// ground has everything that the measurements use.
type ground struct {
	dir   string
	key   string // path of the person's key
	zeros string // path of a file of zeros
	bytes int
	tree  string // directory with many small files
	doors []*door

	chosen *regexp.Regexp // matches the names of the doors to measure

	undo []func() // called in reverse order
}

func (g *ground) megabytes() float64 { return float64(g.bytes) / 1e6 }

func (g *ground) later(f func()) { g.undo = append(g.undo, f) }

// remove removes everything that prepare has created.
func (g *ground) remove() {
	for len(g.undo) > 0 {
		last := len(g.undo) - 1
		g.undo[last]()
		g.undo = g.undo[:last]
	}
}

// prepare creates the containers, the gateways, and the files to copy.
func prepare(ctx context.Context, o options) (*ground, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("wants root: one of the gateways runs as another user")
	}
	if o.base == "" {
		return nil, errors.New("no image to make a host of: -base, or BERTH_BASE_IMAGE")
	}
	chosen, err := regexp.Compile(o.doors)
	if err != nil {
		return nil, err
	}
	g := &ground{bytes: o.megabytes * 1e6, chosen: chosen}
	if err := g.claim(); err != nil {
		return nil, err
	}
	if err := g.prepare(ctx, o); err != nil {
		g.remove()
		return nil, err
	}
	return g, nil
}

// claim makes sure that no other measurement runs on this machine until remove: two
// would share the containers and the processors.
func (g *ground) claim() error {
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), project+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return errors.New("another measurement is running")
	}
	g.later(func() { lock.Close() })
	return nil
}

func (g *ground) prepare(ctx context.Context, o options) (err error) {
	if g.dir, err = os.MkdirTemp("", "berth-bench-"); err != nil {
		return err
	}
	g.later(func() { os.RemoveAll(g.dir) })
	if err := os.Chmod(g.dir, 0o755); err != nil {
		return err
	}
	if err := g.fill(ctx); err != nil {
		return err
	}
	if err := g.makeContainers(ctx, o); err != nil {
		return err
	}
	return g.openDoors(ctx, o)
}

// fill creates the files to copy and the person's key.
func (g *ground) fill(ctx context.Context) error {
	g.key, g.zeros, g.tree = filepath.Join(g.dir, "id"), filepath.Join(g.dir, "zeros"), filepath.Join(g.dir, "tree")
	if _, err := output(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", g.key); err != nil {
		return err
	}
	if err := os.WriteFile(g.zeros, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(g.zeros, int64(g.bytes)); err != nil {
		return err
	}
	for i := range files {
		dir := filepath.Join(g.tree, fmt.Sprint(i%50))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		content := []byte(strings.Repeat(fmt.Sprintf("line %d\n", i), 1+i%500))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeContainers creates a host as people do, and a twin of it. The twin has a
// published port, which provision leaves out, and lacks the mount by which
// descriptors cross to a gateway that is not root.
func (g *ground) makeContainers(ctx context.Context, o options) error {
	file := filepath.Join(g.dir, "compose.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `services:
  master:
    init: true
    shm_size: 2gb
    x-berth: { host: %s }
`, project), 0o600); err != nil {
		return err
	}
	provision := func(ctx context.Context, verb ...string) error {
		args := append(verb, "-p", project, "--state", g.state(), "--base", o.base, "-f", file, "--yes")
		_, err := output(ctx, o.provision, args...)
		return err
	}
	g.later(func() { provision(context.WithoutCancel(ctx), "down", "--volumes") })
	if err := provision(ctx, "up"); err != nil {
		return err
	}
	image, err := output(ctx, "docker", "inspect", "-f", "{{.Image}}", host)
	if err != nil {
		return err
	}
	userCA, err := output(ctx, "ssh-keygen", "-y", "-f", filepath.Join(g.state(), "user_ca"))
	if err != nil {
		return err
	}
	g.later(func() { exec.Command("docker", "rm", "-f", "-v", twin).Run() })
	_, err = output(ctx, "docker", "run", "-d", "--init", "--name", twin, "--shm-size", "2g", "-p", "127.0.0.1::22", "-e", "BERTH_USER_CA="+userCA, image)
	if err != nil {
		return err
	}
	_, err = output(ctx, "docker", "network", "connect", network, twin)
	return err
}

func (g *ground) state() string { return filepath.Join(g.dir, "root", "state") }

// openDoors opens all doors: those without a gateway first, and the reference before
// all others.
func (g *ground) openDoors(ctx context.Context, o options) error {
	address, err := output(ctx, "docker", "inspect", "-f", inspectAddress, host)
	if err != nil {
		return err
	}
	published, err := output(ctx, "docker", "port", twin, "22/tcp")
	if err != nil {
		return err
	}
	signed, err := g.sign(ctx)
	if err != nil {
		return err
	}
	address = net.JoinHostPort(address, "22")
	if _, err := g.open(ctx, door{name: "own-sshd", container: host, login: account}, address, signed); err != nil {
		return err
	}
	if _, err := g.open(ctx, door{name: "published-port", container: twin, login: account}, published, signed); err != nil {
		return err
	}
	if err := g.openBastion(ctx, address, signed); err != nil {
		return err
	}
	if err := g.openRoutes(ctx, o.gateway, ""); err != nil || o.beside == "" {
		return err
	}
	return g.openRoutes(ctx, o.beside, "-beside")
}

// sign creates a key with a certificate that the hosts' sshds trust.
func (g *ground) sign(ctx context.Context) (key string, err error) {
	key = filepath.Join(g.dir, "signed")
	if _, err := output(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key); err != nil {
		return "", err
	}
	_, err = output(ctx, "ssh-keygen", "-q", "-s", filepath.Join(g.state(), "user_ca"), "-I", "bench", "-n", account, "-V", "+1d", key+".pub")
	return key, err
}

// openRoutes opens the doors of a gateway program.
func (g *ground) openRoutes(ctx context.Context, program, suffix string) error {
	engine, err := os.Stat(engineSocket)
	if err != nil {
		return err
	}
	root, err := g.startGateway(ctx, program, "root"+suffix, host, nil)
	if err != nil {
		return err
	}
	ordinary := &syscall.Credential{Uid: nobody, Gid: engine.Sys().(*syscall.Stat_t).Gid}
	streams, err := g.startGateway(ctx, program, "ordinary"+suffix, twin, ordinary)
	if err != nil {
		return err
	}
	for _, d := range []door{
		{name: "route-sshd" + suffix, container: host, login: "dev+sshd", gateway: root},
		{name: "route-exec" + suffix, container: host, login: "dev+exec", gateway: root},
		{name: "exec-by-streams" + suffix, container: twin, login: "dev+exec", gateway: streams, throughEngine: true},
	} {
		if _, err := g.open(ctx, d, d.gateway.address, g.key); err != nil {
			return err
		}
	}
	return nil
}

// open opens one door, and tries it.
func (g *ground) open(ctx context.Context, d door, address, key string) (*door, error) {
	opened, err := newDoor(g.dir, d, address, key)
	if err != nil {
		return nil, err
	}
	if g.isChosen(d.name) {
		g.doors = append(g.doors, opened)
	}
	return opened, opened.await(ctx)
}

// isChosen reports whether a door is measured; the reference always is.
func (g *ground) isChosen(door string) bool { return g.chosen.MatchString(door) || len(g.doors) == 0 }

// openBastion opens the host's own sshd through that of the other container (ssh -J).
func (g *ground) openBastion(ctx context.Context, address, key string) error {
	bastion, err := output(ctx, "docker", "inspect", "-f", `{{(index .NetworkSettings.Networks "`+network+`").IPAddress}}`, twin)
	if err != nil {
		return err
	}
	jump, err := newDoor(g.dir, door{name: "bastion", login: account}, net.JoinHostPort(bastion, "22"), key)
	if err != nil {
		return err
	}
	d, err := newDoor(g.dir, door{name: "own-sshd-by-jump", container: host, login: account}, address, key)
	if err != nil {
		return err
	}
	config, err := os.OpenFile(d.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer config.Close()
	if _, err := fmt.Fprintf(config, "\tProxyCommand ssh -F %s -W %s h\n", jump.config, address); err != nil { // ssh -J with a file of its own
		return err
	}
	if g.isChosen(d.name) {
		g.doors = append(g.doors, d)
	}
	return d.await(ctx)
}

// startGateway starts a gateway with both routes to a container. The hosts trust its
// user CA if it runs as root.
func (g *ground) startGateway(ctx context.Context, program, name, container string, as *syscall.Credential) (*gateway, error) {
	dir := filepath.Join(g.dir, name)
	key, err := os.ReadFile(g.key + ".pub")
	if err != nil {
		return nil, err
	}
	config := fmt.Appendf(nil, `listen: 127.0.0.1:0
state: %s
users:
  dev: { keys: [ "%s" ], hosts: { sshd: %s, exec: %s } }
hosts:
  sshd: { route: sshd, container: %s }
  exec: { route: exec, container: %s }
`, filepath.Join(dir, "state"), strings.TrimSpace(string(key)), account, account, container, container)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	if state := filepath.Join(dir, "state"); as == nil && state != g.state() {
		if _, err := output(ctx, "install", "-D", "-m", "600", filepath.Join(g.state(), "user_ca"), filepath.Join(state, "user_ca")); err != nil {
			return nil, err
		}
		if err := os.Chmod(state, 0o700); err != nil {
			return nil, err
		}
	}
	if as != nil {
		if err := errors.Join(os.Chown(dir, int(as.Uid), int(as.Gid)), os.Chown(file, int(as.Uid), int(as.Gid))); err != nil {
			return nil, err
		}
	}
	program, err = filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	running, err := startGateway(ctx, program, dir, as)
	if err == nil {
		g.later(running.stop)
	}
	return running, err
}

// await waits until the door accepts a login, since a container's sshd may still be
// starting.
func (d *door) await(ctx context.Context) error {
	var err error
	for range 50 {
		if _, err = timed(d.ssh(ctx, "h", "true")); err == nil {
			return nil
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not open: %w", d.name, err)
}

// output runs a command and returns its output.
func output(ctx context.Context, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...)
	out, err := command.Output()
	if err != nil {
		return "", explain(command, err)
	}
	return strings.TrimSpace(string(out)), nil
}
