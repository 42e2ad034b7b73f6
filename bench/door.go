package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// door is one way into the container.
type door struct {
	name    string
	gateway *gateway // nil without one
	login   string
	config  string // ssh_config, in which the container is host h
	control string // socket of a connection that is there
}

// newDoor writes the door's ssh_config.
func newDoor(dir, name, address, login, key string, g *gateway) (*door, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := &door{name: name, gateway: g, login: login, config: filepath.Join(dir, name+".ssh_config"), control: filepath.Join(dir, name+".ctl")}
	// Every door of a measurement is one that the program has made itself.
	return d, os.WriteFile(d.config, fmt.Appendf(nil, `Host h
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
`, host, port, login, key), 0o600)
}

// command is a client of OpenSSH's.
func (d *door) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, program, append([]string{"-F", d.config}, args...)...)
}

func (d *door) ssh(ctx context.Context, args ...string) *exec.Cmd {
	return d.command(ctx, "ssh", args...)
}

// connect makes a connection that others can use (-S), until it is stopped.
func (d *door) connect(ctx context.Context, options ...string) (stop func(), err error) {
	args := append(options, "-M", "-S", d.control, "-f", "-N", "h")
	if _, err := timed(d.ssh(ctx, args...)); err != nil {
		return nil, err
	}
	return func() { d.ssh(context.WithoutCancel(ctx), "-q", "-S", d.control, "-O", "exit", "h").Run() }, nil
}

// explain adds what a command said, if that is known.
func explain(command *exec.Cmd, err error) error {
	said := ""
	if exited := (*exec.ExitError)(nil); errors.As(err, &exited) {
		said = string(exited.Stderr)
	}
	return fmt.Errorf("%q: %w %s", command.Args, err, said)
}
