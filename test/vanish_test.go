package test

import (
	"bufio"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestVanished has clients go silent, as a laptop does that is closed: no
// packet tells so.
func TestVanished(t *testing.T) {
	t.Parallel()
	need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	m := startMachine(t, "keepalive: 1s")
	for _, to := range m.doors() {
		t.Run(to.name+"/what_it_held_is_freed", func(t *testing.T) {
			pty, background := mark(), mark()
			port := freePort(t)
			session := to.start(t, `exec ssh -R `+port+`:127.0.0.1:1 -tt h "nohup sleep `+background+` >/dev/null 2>&1 & sleep `+pty+`"`)
			awaitMarked(t, pty)
			awaitMarked(t, background)
			await(t, "the port to open", func() bool { return answers("127.0.0.1:" + port) })
			syscall.Kill(-session.command.Process.Pid, syscall.SIGSTOP)
			awaitNoneMarked(t, pty)
			await(t, "the port to close", func() bool { return !answers("127.0.0.1:" + port) })
			wantMarked(t, background)
			session.kill()
		})
		t.Run(to.name+"/who_answers_is_kept", func(t *testing.T) {
			to.want(t, `ssh h "sleep 5; echo still here"`, "still here\n")
		})
	}
	t.Run("relay/host_that_falls_silent", m.relay.silentHost)
}

// silentHost stops the sshd of one connection. Its client is told, others are
// not disturbed.
func (to target) silentHost(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	session := to.start(t, `exec ssh h 'echo $PPID; exec cat' 2>`+told)
	line, err := bufio.NewReader(session.stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	sshd, _ := strconv.Atoi(strings.TrimSpace(line))
	if err := syscall.Kill(sshd, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(sshd, syscall.SIGKILL)
	to.want(t, `ssh h 'echo undisturbed'`, "undisturbed\n")
	if status := session.wait(t); status != 255 || !strings.Contains(read(t, told), "has gone away") {
		t.Errorf("exit %d, told %s", status, brief(read(t, told)))
	}
}
