package life

import (
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestVanished has clients go silent, as a laptop does that is closed: no
// packet tells so.
func TestVanished(t *testing.T) {
	t.Parallel()
	harness.Need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	m := harness.StartMachine(t, "keepalive: 1s")
	for _, to := range m.Doors() {
		t.Run(to.Name+"/what_it_held_is_freed", func(t *testing.T) {
			pty, background := harness.Mark(), harness.Mark()
			port := harness.FreePort(t)
			session := to.Start(t, `exec ssh -R `+port+`:127.0.0.1:1 -tt h "nohup sleep `+background+` >/dev/null 2>&1 & sleep `+pty+`"`)
			harness.AwaitMarked(t, pty)
			harness.AwaitMarked(t, background)
			harness.Eventually(t, "the port to open", func() bool { return harness.Answers("127.0.0.1:" + port) })
			syscall.Kill(-session.Command.Process.Pid, syscall.SIGSTOP)
			harness.AwaitNoneMarked(t, pty)
			harness.Eventually(t, "the port to close", func() bool { return !harness.Answers("127.0.0.1:" + port) })
			harness.WantMarked(t, background)
			session.Kill()
		})
		t.Run(to.Name+"/who_answers_is_kept", func(t *testing.T) {
			to.Want(t, `ssh h "sleep 5; echo still here"`, "still here\n")
		})
	}
	t.Run("relay/host_that_falls_silent", func(t *testing.T) { silentHost(t, m.Relay) })
}

// silentHost stops the sshd of one connection. Its client is told, others are
// not disturbed.
func silentHost(t *testing.T, to harness.Target) {
	told := filepath.Join(t.TempDir(), "told")
	session := to.Start(t, `exec ssh h 'echo $PPID; exec cat' 2>`+told)
	sshd, err := strconv.Atoi(session.ReadLine(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(sshd, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(sshd, syscall.SIGKILL)
	to.Want(t, `ssh h 'echo undisturbed'`, "undisturbed\n")
	if status := session.Wait(t); status != 255 || !strings.Contains(harness.Read(t, told), "has gone away") {
		t.Errorf("exit %d, told %s", status, harness.Brief(harness.Read(t, told)))
	}
}
