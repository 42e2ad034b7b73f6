package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/berth-ssh/berth/screen"
)

// visit logs in to a host by key and by password, and copies a file there and
// back in each way that this machine has.
func (d *demo) visit(ctx context.Context, h host) error {
	d.show.Text("\n")
	d.show.Comment("%s, %s", h.name, h.about)
	if err := d.ssh(ctx, h.login(), "hostname", h.hostname, false); err != nil {
		return err
	}
	if err := d.ssh(ctx, h.login(), "whoami", h.account, true); err != nil {
		return err
	}
	return d.copyFiles(ctx, h)
}

// copyFiles sends a file and gets it back. Where there is rsync too, what scp
// sent comes back by rsync, and the other way round.
func (d *demo) copyFiles(ctx context.Context, h host) error {
	first, second := h.dir+"/by-scp", h.dir+"/by-rsync"
	if !d.tools.rsync {
		if err := d.send(ctx, h, first); err != nil {
			return err
		}
		if err := d.fetch(ctx, h, first, h.name+".1"); err != nil {
			return err
		}
		return d.compare(dataFile, h.name+".1")
	}
	there := h.login() + ":"
	for _, step := range []func() error{
		func() error { return d.send(ctx, h, first) },
		func() error { return d.rsync(ctx, there+first, h.name+".1") },
		func() error { return d.rsync(ctx, dataFile, there+second) },
		func() error { return d.fetch(ctx, h, second, h.name+".2") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return d.compare(dataFile, h.name+".1", h.name+".2")
}

// ssh runs a command that must print what is wanted.
func (d *demo) ssh(ctx context.Context, login, command, want string, byPassword bool) error {
	args := []string{login, command}
	if byPassword {
		args = append([]string{"-o", "PreferredAuthentications=password"}, args...)
	}
	out, err := d.run(ctx, d.tools.ssh, []string{"ssh", "-p", d.port}, args, func(ctx context.Context) (string, error) {
		c, err := d.dial(ctx, login, byPassword)
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.output(command)
	})
	if err == nil && strings.TrimSpace(out) != want {
		return fmt.Errorf("ssh %s printed %q, not %q", strings.Join(args, " "), out, want)
	}
	return err
}

// send copies the data file to a path in the host by scp.
func (d *demo) send(ctx context.Context, h host, to string) error {
	args := []string{dataFile, h.login() + ":" + to}
	return d.scp(ctx, h, args, func(c client) error { return c.send(d.file(dataFile), to) })
}

// fetch copies a file from a path in the host by scp.
func (d *demo) fetch(ctx context.Context, h host, from, to string) error {
	args := []string{h.login() + ":" + from, to}
	return d.scp(ctx, h, args, func(c client) error { return c.fetch(from, d.file(to)) })
}

func (d *demo) scp(ctx context.Context, h host, args []string, instead func(client) error) error {
	_, err := d.run(ctx, d.tools.scp, []string{"scp", "-q", "-P", d.port}, args, func(ctx context.Context) (string, error) {
		c, err := d.dial(ctx, h.login(), false)
		if err != nil {
			return "", err
		}
		defer c.Close()
		return "", instead(c)
	})
	return err
}

func (d *demo) rsync(ctx context.Context, from, to string) error {
	_, err := d.run(ctx, d.tools.rsync, []string{"rsync", "-e", "ssh -p " + d.port}, []string{from, to}, nil)
	return err
}

// run shows a command, runs it or, if this machine lacks the program, what
// stands in for it, and shows what was printed.
func (d *demo) run(ctx context.Context, here bool, program, args []string, instead func(context.Context) (string, error)) (string, error) {
	d.show.Command(append(program, args...)...)
	var out string
	var err error
	if here {
		out, err = d.runProgram(ctx, program, args)
	} else {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		out, err = instead(ctx)
	}
	d.show.Output(out)
	if err != nil {
		return "", fmt.Errorf("%s failed: %w", strings.Join(append(program, args...), " "), err)
	}
	return out, nil
}

// runProgram runs a program with the demo's ssh_config. ssh, without a terminal
// to ask at, gets the password from askpass. Where the program fails, what it
// printed on stderr is returned too.
func (d *demo) runProgram(ctx context.Context, program, args []string) (string, error) {
	words := append(d.withConfig(program), args...)
	command := d.command(ctx, words[0], words[1:]...)
	command.Env = append(os.Environ(), "SSH_ASKPASS="+d.file(askpassFile), "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

func (d *demo) withConfig(program []string) []string {
	config := d.file(sshConfigFile)
	if program[0] == "rsync" {
		return []string{"rsync", "-e", "ssh -F " + screen.Quote(config) + " -p " + d.port}
	}
	return append([]string{program[0], "-F", config}, program[1:]...)
}

// compare says that all files have the same content, and which.
func (d *demo) compare(names ...string) error {
	var first [sha256.Size]byte
	for i, name := range names {
		data, err := os.ReadFile(d.file(name))
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		if i == 0 {
			first = sum
		}
		if sum != first {
			return errors.New("what came back is not what was sent: " + name)
		}
	}
	d.show.Comment("%d MiB came back the same, %s: sha256 %x...", dataSize>>20, d.tools.copying(), first[:8])
	return nil
}
