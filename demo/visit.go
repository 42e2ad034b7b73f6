package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"

	"berth/screen"
)

// visit logs in to a host by key and by password, and copies a file there and
// back by scp and by rsync.
func (d *demo) visit(ctx context.Context, h host) error {
	d.show.Text("\n")
	d.show.Comment("%s, %s", h.name, h.about)
	there := h.login() + ":" + h.dir + "/"
	for _, step := range []func() error{
		func() error { return d.ssh(ctx, h.hostname, h.login(), "hostname") },
		func() error {
			return d.ssh(ctx, h.account, "-o", "PreferredAuthentications=password", h.login(), "whoami")
		},
		func() error { return d.scp(ctx, dataFile, there+"by-scp") },
		func() error { return d.rsync(ctx, there+"by-scp", h.name+".1") },
		func() error { return d.rsync(ctx, dataFile, there+"by-rsync") },
		func() error { return d.scp(ctx, there+"by-rsync", h.name+".2") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return d.compare(dataFile, h.name+".1", h.name+".2")
}

// ssh runs a command that must print what is wanted.
func (d *demo) ssh(ctx context.Context, want string, args ...string) error {
	out, err := d.run(ctx, []string{"ssh", "-p", d.port}, args)
	if err == nil && strings.TrimSpace(out) != want {
		return fmt.Errorf("ssh %s printed %q, not %q", strings.Join(args, " "), out, want)
	}
	return err
}

func (d *demo) scp(ctx context.Context, from, to string) error {
	_, err := d.run(ctx, []string{"scp", "-q", "-P", d.port}, []string{from, to})
	return err
}

func (d *demo) rsync(ctx context.Context, from, to string) error {
	_, err := d.run(ctx, []string{"rsync", "-e", "ssh -p " + d.port}, []string{from, to})
	return err
}

// run shows a command, runs it with the demo's ssh_config, and shows what it
// printed. ssh, without a terminal to ask at, gets the
// password from askpass.
func (d *demo) run(ctx context.Context, program, args []string) (string, error) {
	d.show.Command(append(program, args...)...)
	words := append(d.withConfig(program), args...)
	command := d.command(ctx, words[0], words[1:]...)
	command.Env = append(os.Environ(), "SSH_ASKPASS="+d.file(askpassFile), "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	d.show.Output(stdout.String())
	if err != nil {
		d.show.Output(stderr.String())
		return "", fmt.Errorf("%s failed: %w", strings.Join(append(program, args...), " "), err)
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
	d.show.Comment("%d MiB came back the same, by scp and by rsync: sha256 %x...", dataSize>>20, first[:8])
	return nil
}
