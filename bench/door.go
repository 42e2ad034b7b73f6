package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// door is one way into the container.
type door struct {
	name      string
	container string
	gateway   *gateway // nil without one
	login     string
	config    string // ssh_config, in which the container is host h
	control   string // socket of a connection that is there

	throughEngine bool // what is copied goes through the engine
}

// newDoor writes the door's ssh_config.
func newDoor(dir string, d door, address, key string) (*door, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d.config, d.control = filepath.Join(dir, d.name+".ssh_config"), filepath.Join(dir, d.name+".ctl")
	// Every door of a measurement is one that the program has made itself.
	return &d, os.WriteFile(d.config, fmt.Appendf(nil, `Host h
	HostName %s
	Port %s
	User %s
	IdentityFile %s
	IdentitiesOnly yes
	IdentityAgent none
	BatchMode yes
	UserKnownHostsFile /dev/null
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking no
	LogLevel ERROR
`, host, port, d.login, key), 0o600)
}

// command is a client of OpenSSH's.
func (d *door) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, program, append([]string{"-F", d.config}, args...)...)
}

func (d *door) ssh(ctx context.Context, args ...string) *exec.Cmd {
	return d.command(ctx, "ssh", args...)
}

// connect makes a connection that others can use (-S), until it is stopped. Its
// client's process encrypts for all of them.
func (d *door) connect(ctx context.Context, options ...string) (client int, stop func(), err error) {
	args := append(options, "-M", "-S", d.control, "-f", "-N", "h")
	if _, err := timed(d.ssh(ctx, args...)); err != nil {
		return 0, nil, err
	}
	said, err := d.ssh(ctx, "-S", d.control, "-O", "check", "h").CombinedOutput() // Master running (pid=N)
	if err != nil {
		return 0, nil, err
	}
	_, pid, _ := strings.Cut(string(said), "pid=")
	pid, _, _ = strings.Cut(pid, ")")
	client, err = strconv.Atoi(pid)
	return client, func() { d.ssh(context.WithoutCancel(ctx), "-q", "-S", d.control, "-O", "exit", "h").Run() }, err
}

// explain adds what a command said, if that is known.
func explain(command *exec.Cmd, err error) error {
	said := ""
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		said = string(exited.Stderr)
	}
	return fmt.Errorf("%q: %w %s", command.Args, err, said)
}
