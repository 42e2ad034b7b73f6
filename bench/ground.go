package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
)

// ground is what is measured on.
type ground struct {
	dir   string
	key   string // of the person
	zeros string // file of so many bytes
	bytes int
	tree  string // directory of small files
	doors []*door

	undo []func() // in reverse
}

func (g *ground) megabytes() float64 { return float64(g.bytes) / 1e6 }

func (g *ground) later(f func()) { g.undo = append(g.undo, f) }

// remove removes everything again.
func (g *ground) remove() {
	for len(g.undo) > 0 {
		last := len(g.undo) - 1
		g.undo[last]()
		g.undo = g.undo[:last]
	}
}

// prepare makes the container, the gateways, and what is copied.
func prepare(ctx context.Context, o options) (*ground, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("wants root: one of the gateways runs as another user")
	}
	if o.base == "" {
		return nil, errors.New("no image to make a host of: -base, or BERTH_BASE_IMAGE")
	}
	g := &ground{bytes: o.megabytes * 1e6}
	if err := g.prepare(ctx, o); err != nil {
		g.remove()
		return nil, err
	}
	return g, nil
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

// fill makes what is copied, and the person's key.
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

// makeContainers makes a host, as people do, and a twin of it with a published
// port, which provision leaves out, and without the mount by which descriptors
// cross to a gateway that is not root.
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
	return err
}

func (g *ground) state() string { return filepath.Join(g.dir, "root", "state") }

// openDoors opens those past every gateway first, the reference before all.
func (g *ground) openDoors(ctx context.Context, o options) error {
	address, err := output(ctx, "docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", host)
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
	if err := g.open(ctx, "own-sshd", net.JoinHostPort(address, "22"), account, signed, nil); err != nil {
		return err
	}
	if err := g.open(ctx, "published-port", published, account, signed, nil); err != nil {
		return err
	}
	if err := g.openRoutes(ctx, o.gateway, ""); err != nil || o.beside == "" {
		return err
	}
	return g.openRoutes(ctx, o.beside, "-beside")
}

// sign makes a key with a certificate that the hosts' sshds trust.
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
	engine, err := os.Stat("/var/run/docker.sock")
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
	for _, d := range []struct {
		name, login string
		gateway     *gateway
	}{{"route-sshd", "dev+sshd", root}, {"route-exec", "dev+exec", root}, {"exec-by-streams", "dev+exec", streams}} {
		if err := g.open(ctx, d.name+suffix, d.gateway.address, d.login, g.key, d.gateway); err != nil {
			return err
		}
	}
	return nil
}

// open opens one door, and tries it.
func (g *ground) open(ctx context.Context, name, address, login, key string, through *gateway) error {
	d, err := newDoor(g.dir, name, address, login, key, through)
	if err != nil {
		return err
	}
	g.doors = append(g.doors, d)
	return d.await(ctx)
}

// startGateway starts a gateway to a container, by both routes. The hosts trust
// its user CA if it is root's.
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

// await waits until the door lets in, for a container's sshd may just start.
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

// output is what a command prints.
func output(ctx context.Context, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...)
	out, err := command.Output()
	if err != nil {
		return "", explain(command, err)
	}
	return strings.TrimSpace(string(out)), nil
}
