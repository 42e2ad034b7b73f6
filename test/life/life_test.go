package life

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestMachine ends what lives on this machine, in every order.
func TestMachine(t *testing.T) {
	t.Run("stopped_gateway_lets_commands_finish", func(t *testing.T) {
		for i := range 2 {
			m := harness.StartMachine(t)
			finishes(t, m.Gateway, m.Doors()[i])
		}
	})
	t.Run("stopped_gateway_ends_what_does_not_finish", func(t *testing.T) {
		m, mark := harness.StartMachine(t), harness.Mark()
		for _, to := range m.Doors() {
			to.Start(t, `exec ssh -tt h "sleep `+mark+`"`)
		}
		harness.Eventually(t, "two sessions", func() bool { return len(harness.Marked(t, mark)) == 2 })
		m.Gateway.Signal(syscall.SIGTERM)
		m.Gateway.AwaitEnd(t)
		harness.AwaitNoneMarked(t, mark)
	})
	t.Run("stopped_gateway_leaves_no_files_behind", func(t *testing.T) {
		m := harness.StartMachine(t)
		takesItsFiles(t, m.Gateway, m.Local, harness.Exists)
	})
	t.Run("second_gateway_leaves_the_first_its_helper", func(t *testing.T) {
		outlivesASecond(t, harness.StartMachine(t).Gateway)
	})
	t.Run("killed_gateway_leaves_nothing_behind", func(t *testing.T) {
		m := harness.StartMachine(t)
		harness.DiesWithItsSessions(t, m.Gateway, m.Local, func() []int { return m.Gateway.Helpers(t) })
	})
	t.Run("connections_leave_nothing_behind", func(t *testing.T) {
		leavesNothing(t, func() used {
			m := harness.StartMachine(t)
			return used{m.Gateway, m.Doors(), func() []int { return m.Gateway.Helpers(t) }}
		})
	})
}

// outlivesASecond starts another version of the gateway at the same address: it
// must go, and leave what containers run of the first.
func outlivesASecond(t *testing.T, g *harness.Gateway) {
	another := filepath.Join(t.TempDir(), "gateway")
	harness.Must(t, exec.Command("sh", "-c", `cp "$0" "$1" && echo >>"$1"`, harness.Program("gateway"), another))
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	own := harness.Read(t, filepath.Join(g.Dir, "gateway.yaml"))
	harness.Write(t, config, 0o600, strings.Replace(own, "listen: 127.0.0.1:0", "listen: "+g.Address, 1))
	out, err := exec.Command(another, "serve", "--config", config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot listen on "+g.Address) {
		t.Fatalf("%v: %s", err, out)
	}
	sockets, err := filepath.Glob(filepath.Join(harness.StateOf(g.Dir), "helper", "gateway-*.sock"))
	if err != nil || len(sockets) != 1 {
		t.Errorf("sockets %q, %v: want the first gateway's", sockets, err)
	}
	hash := strings.Fields(harness.Must(t, exec.Command("sha256sum", harness.Program("gateway"))))[0]
	if !harness.Exists(filepath.Join(harness.StateOf(g.Dir), "helper", hash)) {
		t.Error("the first gateway's helper is gone")
	}
}

// finishes tells the gateway to stop while a command runs, which must go on to
// its end, unlike new connections.
func finishes(t *testing.T, g *harness.Gateway, to harness.Target) {
	running := filepath.Join(t.TempDir(), "running")
	c := to.Start(t, `exec ssh h "touch `+running+`; sleep 2; echo done; exit 4"`)
	harness.Eventually(t, "the command", func() bool { return harness.Exists(running) })
	g.Signal(syscall.SIGTERM) // a second one changes nothing
	harness.Eventually(t, "the port to close", func() bool { return !harness.Answers(g.Address) })
	if out, _ := io.ReadAll(c.Stdout); string(out) != "done\n" {
		t.Errorf("the command printed %q", out)
	}
	if status := c.Wait(t); status != 4 {
		t.Errorf("exit %d, want 4", status)
	}
	if status := g.AwaitEnd(t); status != 0 {
		t.Errorf("the gateway exits %d", status)
	}
}

// takesItsFiles stops the gateway under a session that has an agent and a
// display, and wants what these had in the target to be gone.
func takesItsFiles(t *testing.T, g *harness.Gateway, to harness.Target, exists func(path string) bool) {
	t.Helper()
	harness.Need(t, "ssh-agent")
	c := to.Start(t, `DISPLAY=:77 exec ssh-agent ssh -A -Y h 'echo $SSH_AUTH_SOCK $XAUTHORITY; exec cat'`)
	line := c.ReadLine(t)
	files := strings.Fields(line)
	if len(files) != 2 || !exists(files[0]) || !exists(files[1]) {
		t.Fatalf("the agent's socket and the display's authority: %q", line)
	}
	g.Signal(syscall.SIGTERM)
	g.AwaitEnd(t)
	for _, file := range files {
		harness.Eventually(t, filepath.Dir(file)+" to go", func() bool { return !exists(filepath.Dir(file)) })
	}
}
