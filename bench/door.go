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
	gateway   *gateway // nil if there is none
	login     string
	config    string // path of an ssh_config in which the container is host h
	control   string // path of the control socket of an open connection

	throughEngine bool // copies go through the engine
}

// newDoor writes the door's ssh_config.
func newDoor(dir string, d door, address, key string) (*door, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d.config, d.control = filepath.Join(dir, d.name+".ssh_config"), filepath.Join(dir, d.name+".ctl")
	// The host keys need no check: every door was created by this program.
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

// command returns a command of an OpenSSH client.
func (d *door) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, program, append([]string{"-F", d.config}, args...)...)
}

func (d *door) ssh(ctx context.Context, args ...string) *exec.Cmd {
	return d.command(ctx, "ssh", args...)
}

// connect opens a connection that others can share (-S), until stop is called. client
// is its process, which encrypts for all of them.
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
