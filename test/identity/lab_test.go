package identity

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// lab is this machine by both mechanisms, with a user, guest, whose file changes.
type lab struct {
	harness.Machine
	dir, team string
	key       string // guest's
}

func startLab(t *testing.T, settings ...string) *lab {
	t.Helper()
	l := &lab{Machine: harness.StartMachine(t, settings...)}
	l.dir = l.Gateway.Dir
	l.team = filepath.Join(l.dir, "users.d", "team.yaml")
	l.key = harness.MakeKey(t, l.dir, "guest")
	if err := os.Mkdir(filepath.Dir(l.team), 0o700); err != nil {
		t.Fatal(err)
	}
	return l
}

// guest gives guest what is said, and grants on both hosts, by a reload.
func (l *lab) guest(t *testing.T, ways string) {
	t.Helper()
	text := fmt.Sprintf("users:\n  guest:\n    hosts: {relay: %s, box: }\n    %s\n", l.SSHD.Login, ways)
	harness.Write(t, l.team, 0o600, text)
	l.reload(t)
}

func (l *lab) reload(t *testing.T) {
	t.Helper()
	harness.Must(t, exec.Command(harness.Program("gateway"), "reload", "--config", filepath.Join(l.dir, "gateway.yaml")))
}

// doors are guest's, with a key and options of ssh_config.
func (l *lab) doors(t *testing.T, key string, options ...string) []harness.Target {
	t.Helper()
	var doors []harness.Target
	for _, host := range []string{"relay", "box"} {
		to := l.Gateway.Door("guest+"+host, key)
		doors = append(doors, harness.NewTarget(t, t.TempDir(), host, to).With(t, t.TempDir(), "options", options...))
	}
	return doors
}

// askpass answers every question of ssh with what a file says.
func askpass(t *testing.T, file string) (env []string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "askpass")
	harness.Write(t, program, 0o700, "#!/bin/sh\ncat "+file+"\n")
	return []string{"SSH_ASKPASS=" + program, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0"}
}
