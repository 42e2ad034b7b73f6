package docker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An address never becomes an option of ssh, nor more than a path of what it forwards.
func TestAttackByAnAddress(t *testing.T) {
	for _, address := range []string{
		"ssh://-oProxyCommand=id", "ssh://-l@a100", "ssh://", "ssh://dev:secret@a100", "ssh://a100?x", "ssh://a100#x",
		"ssh://a100/run/a:/etc/shadow", "ssh://a100/run/$HOME/s", "ssh://a100/run/%%h", "ssh://a100:port",
	} {
		if engine, err := Connect(Address{URL: address}); err == nil {
			t.Errorf("%s is taken", address)
			engine.Close()
		}
	}
}

// What ssh says is what a person is told, in one line.
func TestABoxThatSSHDoesNotReach(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"refused": {"echo 'Warning: something' >&2\nprintf 'dev@a100: Permission denied (publickey).\\r\\n' >&2\nexit 255", "ssh dev@a100: dev@a100: Permission denied (publickey)."},
		"silent":  {"exit 255", "ssh dev@a100: its connection has ended"},
		"attack":  {"printf '\\033[2Jno\\n' >&2\nexit 255", "ssh dev@a100: ?[2Jno"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			t.Setenv("TMPDIR", t.TempDir())
			_, err := Dial(t.Context(), Address{URL: "ssh://dev@a100:2022"})
			_, ok := errors.AsType[*LinkError](err)
			if !ok || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Setenv("PATH", "")
	if _, err := Dial(t.Context(), Address{URL: "ssh://a100"}); err == nil || !strings.Contains(err.Error(), "there is no ssh command here") {
		t.Errorf("without ssh: %v", err)
	}
}
