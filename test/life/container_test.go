package life

import (
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestContainer ends what lives in a container and about it.
func TestContainer(t *testing.T) {
	c := harness.StartContainer(t)
	for _, to := range c.Targets(t)[1:] {
		t.Run(to.Name+"/container_is_restarted", func(t *testing.T) { restarts(t, c, to) })
	}
	another := func() used {
		g, others := harness.StartGateway(t, t.TempDir(), c.Config(t)), harness.HelpersIn(t, c.Name)
		return used{g, []harness.Target{g.Target(t, "exec", "dev+lab", c.Key)}, func() []int {
			return slices.DeleteFunc(harness.HelpersIn(t, c.Name), func(pid int) bool { return slices.Contains(others, pid) })
		}}
	}
	t.Run("connections_leave_nothing_behind", func(t *testing.T) {
		harness.NeedRoot(t) // who sees what a container's processes have open
		leavesNothing(t, another)
	})
	t.Run("engine_is_late", func(t *testing.T) { survivesItsEngine(t, c) })
	t.Run("gateway_is_stopped", func(t *testing.T) {
		u := another()
		takesItsFiles(t, u.gateway, u.doors[0], func(path string) bool {
			return exec.Command("docker", "exec", c.Name, "test", "-e", path).Run() == nil
		})
	})
	t.Run("gateway_is_killed", func(t *testing.T) {
		u := another()
		harness.DiesWithItsSessions(t, u.gateway, u.doors[0], u.helpers)
	})
}

// restarts restarts the container under a session. The client must hear of it,
// and the next login must find the container as it is now.
func restarts(t *testing.T, c harness.Container, to harness.Target) {
	m := harness.Mark()
	told := filepath.Join(t.TempDir(), "told")
	session := to.Start(t, `exec ssh h "sleep `+m+`" 2>`+told)
	harness.AwaitMarked(t, m)
	harness.Must(t, exec.Command("docker", "stop", "-t", "1", c.Name))
	if status := session.Wait(t); status != 255 || !strings.Contains(harness.Read(t, told), "has gone away") {
		t.Errorf("exit %d, told %s", status, harness.Brief(harness.Read(t, told)))
	}
	waiting := to.Start(t, `exec ssh -o LogLevel=INFO h 'echo again' 2>`+told)
	harness.Eventually(t, "the wait to be told", func() bool { return strings.Contains(harness.Read(t, told), "is restarting; waiting for it") })
	harness.Must(t, exec.Command("docker", "start", c.Name))
	if out, _ := io.ReadAll(waiting.Stdout); string(out) != "again\n" || waiting.Wait(t) != 0 {
		t.Errorf("after the restart: %q", out)
	}
}

// survivesItsEngine starts a gateway before its engine answers.
func survivesItsEngine(t *testing.T, c harness.Container) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "engine.sock")
	g := harness.StartGateway(t, dir, "docker: unix://"+socket+"\n"+c.Config(t))
	to := g.Target(t, "exec", "dev+lab", c.Key)
	if got := to.Run(t, "ssh h true"); got.Exit != 255 || !strings.Contains(got.Stderr, "the engine does not answer") {
		t.Errorf("without an engine: exit %d, stderr %s", got.Exit, harness.Brief(got.Stderr))
	}
	harness.StartEngineProxy(t, socket)
	harness.Eventually(t, "a login", func() bool { return to.Run(t, "ssh h true").Exit == 0 })
}
