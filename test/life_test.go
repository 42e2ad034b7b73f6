package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestLife ends what lives in every order.
func TestLife(t *testing.T) {
	need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	t.Run("stopped_gateway_lets_commands_finish", func(t *testing.T) {
		for i := range 2 {
			m := startMachine(t)
			m.gateway.finishes(t, m.doors()[i])
		}
	})
	t.Run("stopped_gateway_ends_what_does_not_finish", func(t *testing.T) {
		box, m := startMachine(t), mark()
		for _, to := range box.doors() {
			to.start(t, `exec ssh -tt h "sleep `+m+`"`)
		}
		await(t, "two sessions", func() bool { return len(marked(t, m)) == 2 })
		box.gateway.signal(syscall.SIGTERM)
		await(t, "the gateway to stop", func() bool { return isClosed(box.gateway.ended) })
		awaitNoneMarked(t, m)
	})
	t.Run("stopped_gateway_leaves_no_files_behind", func(t *testing.T) {
		m := startMachine(t)
		m.gateway.takesItsFiles(t, m.local, exists)
	})
	t.Run("second_gateway_leaves_the_first_its_helper", func(t *testing.T) {
		m := startMachine(t)
		m.gateway.outlivesASecond(t)
	})
	t.Run("killed_gateway_leaves_nothing_behind", func(t *testing.T) {
		m := startMachine(t)
		m.gateway.diesWithItsSessions(t, m.local, func() []int { return helpers(t, program("gateway")) })
	})
	t.Run("connections_leave_nothing_behind", func(t *testing.T) {
		idle := startMachine(t)
		idle.gateway.warmUp(t, idle.doors())
		least := idle.gateway.goroutines(t)
		m := startMachine(t)
		m.gateway.leavesNothing(t, m.doors(), least, program("gateway"))
	})
}

// outlivesASecond starts another version of the gateway at the same address: it
// must go, and leave what containers run of the first.
func (g *gateway) outlivesASecond(t *testing.T) {
	another := filepath.Join(t.TempDir(), "gateway")
	must(t, exec.Command("sh", "-c", `cp "$0" "$1" && echo >>"$1"`, program("gateway"), another))
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	own := read(t, filepath.Join(g.dir, "gateway.yaml"))
	write(t, config, 0o600, strings.Replace(own, "listen: 127.0.0.1:0", "listen: "+g.address, 1))
	out, err := exec.Command(another, "serve", "--config", config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot listen on "+g.address) {
		t.Fatalf("%v: %s", err, out)
	}
	sockets, err := filepath.Glob(filepath.Join(stateOf(g.dir), "helper", "gateway-*.sock"))
	if err != nil || len(sockets) != 1 {
		t.Errorf("sockets %q, %v: want the first gateway's", sockets, err)
	}
	hash := strings.Fields(must(t, exec.Command("sha256sum", program("gateway"))))[0]
	if !exists(filepath.Join(stateOf(g.dir), "helper", hash)) {
		t.Error("the first gateway's helper is gone")
	}
}

// finishes tells the gateway to stop while a command runs, which must go on to
// its end, unlike new connections.
func (g *gateway) finishes(t *testing.T, to target) {
	running := filepath.Join(t.TempDir(), "running")
	c := to.start(t, `exec ssh h "touch `+running+`; sleep 2; echo done; exit 4"`)
	await(t, "the command", func() bool { return exists(running) })
	g.signal(syscall.SIGTERM) // a second one changes nothing
	await(t, "the port to close", func() bool { return !answers(g.address) })
	if out, _ := io.ReadAll(c.stdout); string(out) != "done\n" {
		t.Errorf("the command printed %q", out)
	}
	if status := c.wait(t); status != 4 {
		t.Errorf("exit %d, want 4", status)
	}
	await(t, "the gateway to stop", func() bool { return isClosed(g.ended) })
	if status := g.command.ProcessState.ExitCode(); status != 0 {
		t.Errorf("the gateway exits %d", status)
	}
}

// takesItsFiles stops the gateway under a session that has an agent and a
// display, and wants what these had in the target to be gone.
func (g *gateway) takesItsFiles(t *testing.T, to target, exists func(path string) bool) {
	t.Helper()
	need(t, "ssh-agent")
	c := to.start(t, `DISPLAY=:77 exec ssh-agent ssh -A -Y h 'echo $SSH_AUTH_SOCK $XAUTHORITY; exec cat'`)
	line, err := bufio.NewReader(c.stdout).ReadString('\n')
	files := strings.Fields(line)
	if err != nil || len(files) != 2 || !exists(files[0]) || !exists(files[1]) {
		t.Fatalf("the agent's socket and the display's authority: %q, %v", line, err)
	}
	g.signal(syscall.SIGTERM)
	await(t, "the gateway to stop", func() bool { return isClosed(g.ended) })
	for _, file := range files {
		await(t, filepath.Dir(file)+" to go", func() bool { return !exists(filepath.Dir(file)) })
	}
}

// diesWithItsSessions kills the gateway: the kernel then ends what it held, its
// helpers, too.
func (g *gateway) diesWithItsSessions(t *testing.T, to target, helpers func() []int) {
	t.Helper()
	m := mark()
	c := to.start(t, `exec ssh -tt h "sleep `+m+`"`)
	awaitMarked(t, m)
	if len(helpers()) == 0 {
		t.Fatal("no helper runs: its end would not be noticed")
	}
	g.signal(syscall.SIGKILL)
	c.wait(t)
	awaitNoneMarked(t, m)
	await(t, "the helper to end", func() bool { return len(helpers()) == 0 })
}

// helpersIn are the helpers that run in a container.
func helpersIn(t *testing.T, container string) []int {
	t.Helper()
	var found []int
	for line := range strings.Lines(processesIn(t, container)) {
		if strings.Contains(line, " helper run") {
			pid, _ := strconv.Atoi(strings.Fields(line)[0])
			found = append(found, pid)
		}
	}
	return found
}

func processesIn(t *testing.T, container string) string {
	t.Helper()
	return must(t, exec.Command("docker", "top", container, "-eo", "pid,ppid,stat,args"))
}

// helpers are the processes that run a file in the helper's role, here or in a
// container.
func helpers(t *testing.T, file string) []int {
	t.Helper()
	wanted, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, process := range processes {
		executable, err := os.Stat(process + "/exe")
		line, _ := os.ReadFile(process + "/cmdline")
		if err == nil && os.SameFile(executable, wanted) && strings.Contains(string(line), "\x00helper\x00") {
			pid, _ := strconv.Atoi(filepath.Base(process))
			found = append(found, pid)
		}
	}
	return found
}

// leavesNothing makes connections of all kinds, most of them cut, and wants as
// many descriptors open then as before, and no more goroutines than there are
// at the least.
func (g *gateway) leavesNothing(t *testing.T, doors []target, least []string, helperFile string) {
	g.warmUp(t, doors) // helpers are up from here on
	watched := append(helpers(t, helperFile), g.command.Process.Pid)
	before := descriptors(watched)
	t.Run("use", func(t *testing.T) {
		for _, to := range doors {
			t.Run(to.name+"_by_openssh", func(t *testing.T) { t.Parallel(); to.comeAndGo(t, load(5, 25)) })
			t.Run(to.name+"_cut", func(t *testing.T) { t.Parallel(); to.cutAtRandom(t, load(100, 1000)) })
		}
	})
	await(t, "the last connection to go", func() bool { return g.connections(t) == 0 })
	await(t, fmt.Sprintf("the descriptors of %v to be as before: %v", watched, before), func() bool {
		for i, count := range descriptors(watched) {
			if count > before[i] {
				return false
			}
		}
		return true
	})
	if left := g.goroutines(t); len(left) > len(least) || len(least) == 0 {
		t.Errorf("%d goroutines are left, %d are there at the least:\n%s", len(left), len(least), strings.Join(left, "\n\n"))
	}
}

// warmUp makes some connections at once to each door. They have ended when it
// returns, but for those to the engine, which are kept for a while.
func (g *gateway) warmUp(t *testing.T, doors []target) {
	t.Helper()
	for _, to := range doors {
		to.want(t, "for i in $(seq 8); do ssh h true & done; wait", "")
	}
	await(t, "the connections to go", func() bool { return g.connections(t) == 0 })
}

// goroutines are those in Berth's own code and in SSH's. The gateway has to
// end to tell them.
func (g *gateway) goroutines(t *testing.T) []string {
	t.Helper()
	before := len(g.log(t))
	g.signal(syscall.SIGQUIT)
	await(t, "the gateway to end", func() bool { return isClosed(g.ended) })
	stacks := strings.Split(g.log(t)[before:], "\n\n")
	return slices.DeleteFunc(stacks, func(stack string) bool {
		own := strings.Contains(stack, "\nberth/") || strings.Contains(stack, "\ngolang.org/x/crypto/ssh.")
		return !strings.HasPrefix(stack, "goroutine ") || !own
	})
}

// comeAndGo makes five connections with OpenSSH's clients, so often, and as
// many that are none.
func (to target) comeAndGo(t *testing.T, times int) {
	for range times {
		to.want(t, `
			ssh h true
			ssh -tt h true </dev/null
			echo 'ls -1 /etc/hostname' | sftp -q -b - h >/dev/null
			ssh -W 127.0.0.1:1 h </dev/null 2>/dev/null
			ssh -R 0:127.0.0.1:1 -tt h 'sleep 1000' </dev/null >/dev/null 2>&1 & sleep 0.2; kill -9 $!; wait $! 2>/dev/null
			:`, "")
		if conn, err := net.Dial("tcp", to.address); err == nil {
			conn.Write([]byte("SSH-2.0-cut\r\n\x00"))
			conn.Close()
		}
	}
}

// connections are those of the gateway, by its log.
func (g *gateway) connections(t *testing.T) int {
	t.Helper()
	log := g.log(t)
	return strings.Count(log, `logged in" conn=`) - strings.Count(log, "msg=closed conn=") // "not logged in", too
}

// descriptors are how many each process has open: none if it has ended, as a
// helper does that nobody uses.
func descriptors(pids []int) []int {
	counts := make([]int, len(pids))
	for i, pid := range pids {
		entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		counts[i] = len(entries)
	}
	return counts
}

// restarts restarts the container under a session. The client must hear of it,
// and the next login must find the container as it is now.
func (c container) restarts(t *testing.T, to target) {
	m := mark()
	told := filepath.Join(t.TempDir(), "told")
	session := to.start(t, `exec ssh h "sleep `+m+`" 2>`+told)
	awaitMarked(t, m)
	must(t, exec.Command("docker", "stop", "-t", "1", c.name))
	if status := session.wait(t); status != 255 || !strings.Contains(read(t, told), "has gone away") {
		t.Errorf("exit %d, told %s", status, brief(read(t, told)))
	}
	waiting := to.start(t, `exec ssh -o LogLevel=INFO h 'echo again' 2>`+told)
	await(t, "the wait to be told", func() bool { return strings.Contains(read(t, told), "is restarting; waiting for it") })
	must(t, exec.Command("docker", "start", c.name))
	if out, _ := io.ReadAll(waiting.stdout); string(out) != "again\n" || waiting.wait(t) != 0 {
		t.Errorf("after the restart: %q", out)
	}
}

// survivesItsEngine starts a gateway before its engine answers.
func (c container) survivesItsEngine(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "engine.sock")
	g := startGateway(t, dir, "docker: unix://"+socket+"\n"+c.config(t))
	to := g.target(t, "exec", "dev+lab", c.key)
	if got := to.run(t, "ssh h true"); got.exit != 255 || !strings.Contains(got.stderr, "the engine does not answer") {
		t.Errorf("without an engine: exit %d, stderr %s", got.exit, brief(got.stderr))
	}
	startEngineProxy(t, socket)
	await(t, "a login", func() bool { return to.run(t, "ssh h true").exit == 0 })
}
