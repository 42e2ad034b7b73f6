package main

import (
	"strings"
	"testing"

	"berth/docker"
)

// What x-berth says of the host image is so inside.
func TestSudoAndPackagesAreAsTheFileSays(t *testing.T) {
	l := newLab(t)
	l.mustRun("up", "-f", l.file(`
services:
  free: {x-berth: {packages: [hello]}}
  none: {x-berth: {sudo: none}, environment: {DEVELOPER_PASSWORD: makalu}}
  password: {x-berth: {sudo: password}, environment: {DEVELOPER_PASSWORD: makalu}}
`))
	for _, c := range []struct{ host, command, want string }{
		{"free", "sudo -n id -un", "root\n"},
		{"free", "hello", "Hello, world!\n"},
		{"none", "echo makalu | sudo -S -p '' id -un", "not allowed"},
		{"none", "hello", "not found"},
		{"password", "sudo -n id -un", "a password is required"},
		{"password", "echo makalu | sudo -S -p '' id -un", "root\n"},
		{"free", "python3 -m venv /tmp/v && /tmp/v/bin/pip --version >/dev/null && echo venv", "venv\n"},
		{"free", "LC_ALL=en_US.UTF-8 locale charmap; TERM=dumb less --version >/dev/null && tmux -V >/dev/null && gcc --version >/dev/null && man -w ls", "UTF-8\n/usr/share/man/man1/ls.1.gz\n"},
	} {
		if got := l.outputAs("developer", c.host, c.command); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\ngot  %q\nwant %q", c.host, c.command, got, c.want)
		}
	}
}

// outputAs is what a command in a host says, as an account of it.
func (l lab) outputAs(account, service, script string) string {
	l.Helper()
	command := docker.Command{User: account, Args: []string{"sh", "-c", "{ " + script + "; } 2>&1; true"}}
	out, err := docker.Output(l.Context(), l.api, l.inspect(service).ID, command, 64<<10)
	if err != nil {
		l.Fatal(err)
	}
	return string(out)
}
