package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/labels"
)

// host is a host of the demo, and what must be found there.
type host struct {
	name     string
	account  string
	hostname string
	dir      string // for files
	about    string
	entry    string // in gateway.yaml
}

func (h host) user() string  { return userName + "+" + h.name }
func (h host) login() string { return h.user() + "@" + address }

const (
	engineTimeout = 5 * time.Second
	removeTimeout = time.Minute

	imageAccount = "developer" // of our image
)

// makeHosts creates two containers. Where that is not possible it says why, and
// both hosts are this machine. remove removes the containers; it is never nil.
func (d *demo) makeHosts(ctx context.Context) (remove func() error, err error) {
	nothing := func() error { return nil }
	base := os.Getenv("BERTH_BASE_IMAGE")
	provision, err := d.canProvision(ctx, base)
	if err != nil {
		d.show.Comment("%v: both hosts are this machine", err)
		return nothing, d.useThisMachine()
	}
	project := "berth-demo-" + d.port
	d.hosts = containerHosts(project)
	if err := d.writeCompose(project, base); err != nil {
		return nothing, err
	}
	d.show.Comment("making two hosts (a minute or two the first time; their images are kept)")
	remove = func() error { return d.provisionDown(ctx, provision, project) }
	return remove, d.provisionUp(ctx, provision, "up", "-p", project, "--state", stateDir, "--base", base, "--yes")
}

// canProvision returns the path of the provision program. Its error says what is
// missing for containers: the program, an engine or a base image.
func (d *demo) canProvision(ctx context.Context, base string) (provision string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir, name := filepath.Split(self)
	provision = filepath.Join(dir, strings.Replace(name, "gateway", "provision", 1)) // berth-provision beside berth-gateway
	if _, err := os.Stat(provision); err != nil {
		return "", fmt.Errorf("there is no %s", provision)
	}
	engine, err := docker.Connect(docker.Address{})
	if err != nil {
		return "", err
	}
	defer engine.Close()
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	conn, err := engine.Dialer()(ctx)
	if err != nil {
		return "", fmt.Errorf("no Docker engine answers (%w)", err)
	}
	conn.Close()
	if base == "" {
		return "", errors.New("BERTH_BASE_IMAGE names no image to make hosts of")
	}
	return provision, nil
}

func (d *demo) useThisMachine() error {
	own, err := user.Current()
	if err != nil {
		return fmt.Errorf("this machine cannot be a host of the demo: the uid that runs it, %d, has no account in /etc/passwd", os.Getuid())
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	for _, name := range []string{"master", "worker"} {
		h := host{
			name:     name,
			account:  own.Username,
			hostname: hostname,
			dir:      d.file(name),
			about:    "route local: this machine itself",
			entry:    "{ route: local }",
		}
		if err := os.Mkdir(h.dir, 0o700); err != nil {
			return err
		}
		d.hosts = append(d.hosts, h)
	}
	return nil
}

// containerHosts returns the hosts of a project. Their entries name containers:
// another gateway on this box may have a host master, which the demo must not
// find or disturb.
func containerHosts(project string) []host {
	entry := "{ route: %s, container: " + project + "-%s-1 }"
	master := host{name: "master", account: imageAccount, hostname: "master", dir: "/tmp",
		about: "route sshd: our image, joined to its own sshd",
		entry: fmt.Sprintf(entry, labels.RouteSshd, "master")}
	worker := host{name: "worker", account: "root", hostname: "worker", dir: "/tmp",
		about: "route exec: a plain image with rsync, and no sshd in it",
		entry: fmt.Sprintf(entry, labels.RouteExec, "worker")}
	return []host{master, worker}
}

const composeFile = `services:
  master:
    hostname: master
    init: true
    deploy: { resources: { limits: { cpus: "1", memory: 512M } } }
    x-berth: { host: PROJECT-master, route: sshd }
  worker:
    hostname: worker
    init: true
    deploy: { resources: { limits: { cpus: "1", memory: 512M } } }
    x-berth: { host: PROJECT-worker, route: exec, account: root }
    command: [sleep, infinity]
    build:
      context: ./worker
      dockerfile_inline: |
        FROM BASE
        RUN apt-get update && apt-get install -y --no-install-recommends rsync
`

// writeCompose writes the compose file. The worker's build context is an empty
// directory, as the demo's own has keys in it.
func (d *demo) writeCompose(project, base string) error {
	if err := os.Mkdir(d.file("worker"), 0o700); err != nil {
		return err
	}
	text := strings.NewReplacer("PROJECT", project, "BASE", base).Replace(composeFile)
	return d.write("compose.yaml", []byte(text), 0o600)
}

func (d *demo) provisionUp(ctx context.Context, provision string, args ...string) error {
	d.show.Command(append([]string{"berth-provision"}, args...)...)
	command := d.command(ctx, provision, args...)
	command.Stdout, command.Stderr = d.show.Out, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("the hosts cannot be made: provision: %w", err)
	}
	return nil
}

func (d *demo) provisionDown(ctx context.Context, provision, project string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	d.show.Comment("removing the hosts (their images are kept)")
	if out, err := d.command(ctx, provision, "down", "--volumes", "-p", project, "--yes").CombinedOutput(); err != nil {
		return fmt.Errorf("the hosts are not removed: provision: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}
