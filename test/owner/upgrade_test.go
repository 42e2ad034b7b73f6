package owner

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// upgrade replaces the gateway of g, and returns the process that lets people in.
// All that come after the first are ended with the test.
func upgrade(t *testing.T, g *harness.Gateway) (pid int) {
	t.Helper()
	pid = upgraded(t, must(t, g, "upgrade"))
	endWith(t, pid)
	return pid
}

// upgraded is the process that an upgrade says lets people in.
func upgraded(t *testing.T, out string) (pid int) {
	t.Helper()
	said := regexp.MustCompile(`^upgraded: process (\d+) lets people in`).FindStringSubmatch(out)
	if said == nil {
		t.Fatalf("upgrade says %q", out)
	}
	pid, _ = strconv.Atoi(said[1])
	return pid
}

// endWith ends a gateway with the test.
func endWith(t *testing.T, pid int) {
	t.Cleanup(func() {
		syscall.Kill(pid, syscall.SIGTERM)
		harness.Eventually(t, "the gateway ends", func() bool { return hasEnded(pid) })
	})
}

// hasEnded reports whether a process has, also where nobody has waited for it.
func hasEnded(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(text), ") Z ")
}

// What runs goes on through an upgrade, who comes meets the new gateway, and the
// owner reaches both.
func TestAnUpgradeCutsNobody(t *testing.T) {
	m := harness.StartMachine(t)
	first := m.Gateway.Command.Process.Pid
	var before []*harness.Client
	for _, to := range m.Doors() {
		before = append(before, to.StartCat(t))
	}
	second := upgrade(t, m.Gateway)
	var after []*harness.Client
	for _, to := range m.Doors() {
		after = append(after, to.StartCat(t))
	}
	for _, client := range append(before, after...) {
		client.WantLine(t, "all is well")
	}
	served := map[int]int{}
	for _, c := range sessions(t, m.Gateway) {
		served[c.PID]++
	}
	if len(served) != 2 || served[first] != 2 || served[second] != 2 {
		t.Errorf("connections by gateway: %v, want two each of %d and %d", served, first, second)
	}
	save(t, m.Gateway, strings.Replace(config(t, m.Gateway), "relay: ", "none: ", 1)) // a grant is lost
	must(t, m.Gateway, "reload")
	for i, client := range []*harness.Client{before[0], after[0]} {
		if status := client.Wait(t); status != 255 {
			t.Errorf("who lost a grant, %d: exit %d", i, status)
		}
	}
	must(t, m.Gateway, "kick", "dev")
	for _, client := range []*harness.Client{before[1], after[1]} {
		client.Wait(t)
	}
	harness.AwaitEnd(t, "the former gateway ends with its last connection", m.Gateway.Ended)
	if status := m.Gateway.Command.ProcessState.ExitCode(); status != 0 {
		t.Errorf("the former gateway exits with %d", status)
	}
	if files, _ := filepath.Glob(filepath.Join(harness.StateOf(m.Gateway.Dir), "control*.sock")); len(files) != 1 {
		t.Errorf("sockets: %q", files)
	}
	m.Local.Want(t, "ssh h echo in", "in\n")
}

func config(t *testing.T, g *harness.Gateway) string {
	t.Helper()
	return harness.Read(t, filepath.Join(g.Dir, "gateway.yaml"))
}

func save(t *testing.T, g *harness.Gateway, text string) {
	t.Helper()
	path := filepath.Join(g.Dir, "gateway.yaml")
	harness.Write(t, path+".new", 0o600, text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A program or a configuration that does not work costs nobody anything.
func TestAnUpgradeThatFailsChangesNothing(t *testing.T) {
	m := harness.StartMachine(t)
	client := m.Local.StartCat(t)
	good := config(t, m.Gateway)
	save(t, m.Gateway, good+"nonsense: 1\n")
	if out, err := verb(t, m.Gateway, "upgrade"); err == nil || !strings.Contains(out, "the new gateway did not start (exit status 1), and its log says why; this one goes on") {
		t.Errorf("upgrade: %v, %q", err, out)
	}
	client.WantLine(t, "still here")
	m.Relay.Want(t, "ssh h echo in", "in\n")
	if now := sessions(t, m.Gateway); len(now) != 1 || now[0].PID != m.Gateway.Command.Process.Pid {
		t.Errorf("on: %+v", now)
	}
	save(t, m.Gateway, good)
	upgrade(t, m.Gateway)
	client.WantLine(t, "still here")
}

// As a service, a gateway is stopped before it is started again: what systemd knows
// of it ends at once, and the gateway itself goes on. One that is not started again
// lets nobody in.
func TestARestartOfTheServiceCutsNobody(t *testing.T) {
	by := func(program string, args ...string) *exec.Cmd {
		return exec.Command(program, append([]string{"service"}, args[1:]...)...)
	}
	m := harness.StartMachineBy(t, by)
	client := m.Local.StartCat(t)
	first := only(t, m.Gateway).PID
	if out, err := verb(t, m.Gateway, "upgrade"); err == nil || !strings.Contains(out, "systemctl restart berth-gateway") {
		t.Errorf("upgrade: %v, %q", err, out)
	}
	m.Gateway.Signal(syscall.SIGTERM)
	if status := m.Gateway.AwaitEnd(t); status != 0 {
		t.Errorf("the service ends with %d", status)
	}
	waiting := m.Relay.Start(t, "exec ssh h echo in") // while nobody accepts
	again := exec.Command(harness.Program("gateway"), "service", "-v", "--config", filepath.Join(m.Gateway.Dir, "gateway.yaml"))
	harness.StartLogged(t, again, filepath.Join(m.Gateway.Dir, "again.log"))
	if line := waiting.ReadLine(t); line != "in" {
		t.Errorf("who came meanwhile got %q", line)
	}
	client.WantLine(t, "still here")
	second := m.Local.StartCat(t)
	var pids []int
	for _, c := range sessions(t, m.Gateway) {
		pids = append(pids, c.PID)
	}
	if len(pids) != 2 || pids[0] != first || pids[1] == first {
		t.Errorf("gateways %v, the first is %d", pids, first)
	}
	client.Kill()
	harness.Eventually(t, "the former gateway ends", func() bool { return hasEnded(first) })
	again.Process.Signal(syscall.SIGTERM)
	second.WantLine(t, "still here")
	second.Kill()
	if log := m.Gateway.Log(t); strings.Contains(log, "level=WARN") {
		t.Errorf("a restart that went well warns:\n%s", log)
	}
	syscall.Kill(pids[1], syscall.SIGTERM) // which does not wait for another to take its place
	harness.Eventually(t, "the last gateway ends", func() bool { return hasEnded(pids[1]) })
}

// Upgrades under people who come and copies that run: nobody is refused, nobody is
// cut, and every byte is right. make soak does a hundred under twenty logins a
// second and fifty copies.
func TestUpgradesUnderLoad(t *testing.T) {
	upgrades, copies, each := 4, 6, 250*time.Millisecond
	if harness.Soaking() {
		upgrades, copies, each = 100, 50, 50*time.Millisecond
	}
	m := harness.StartMachine(t, "exempt: [ 127.0.0.0/8 ]")
	var tally tally
	running, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	doors := m.Doors()
	for i := range copies {
		all.Go(func() {
			for running.Err() == nil {
				tally.note(t, &tally.copies, "a copy", copyThrough(t, doors[i%2], 20))
			}
		})
	}
	all.Go(func() {
		ticker := time.NewTicker(each)
		defer ticker.Stop()
		places := make(chan struct{}, 50) // more do not wait on a machine that has no time
		for i := 0; running.Err() == nil; i++ {
			<-ticker.C
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				tally.note(t, &tally.logins, "a login", runTrue(t, doors[i%2]))
			})
		}
	})
	harness.Eventually(t, "copies run", func() bool { return len(sessions(t, m.Gateway)) >= copies })
	began := time.Now()
	for range upgrades {
		upgrade(t, m.Gateway)
	}
	took := time.Since(began)
	stop()
	all.Wait()
	t.Logf("%d upgrades in %v, %d logins, %d copies of %d bytes, %d failures", upgrades, took.Round(time.Millisecond), tally.logins.Load(), tally.copies.Load(), 20*chunk, tally.failures.Load())
	if tally.logins.Load() == 0 || tally.copies.Load() < int64(copies) {
		t.Error("nothing was going on")
	}
	harness.Eventually(t, "nobody is left", func() bool { return len(sessions(t, m.Gateway)) == 0 })
}

type tally struct{ logins, copies, failures atomic.Int64 }

func (y *tally) note(t *testing.T, kind *atomic.Int64, what string, err error) {
	kind.Add(1)
	if err != nil {
		y.failures.Add(1)
		t.Errorf("%s: %v", what, err)
	}
}

// enter is a connection that its caller closes.
func enter(t *testing.T, to harness.Target) (*ssh.Client, error) {
	conn, err := net.Dial("tcp", to.Address)
	if err != nil {
		return nil, fmt.Errorf("refused: %w", err)
	}
	conn.SetDeadline(time.Now().Add(harness.ScriptLimit()))
	client, err := to.LogIn(t, conn)
	if err != nil {
		conn.Close()
	}
	return client, err
}

func runTrue(t *testing.T, to harness.Target) error {
	client, err := enter(t, to)
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	return session.Run("true")
}

const chunk = 16 << 10

// copyThrough sends chunks through cat, one after the other with a pause, and wants
// each back.
func copyThrough(t *testing.T, to harness.Target, chunks int) error {
	client, err := enter(t, to)
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	in, err := session.StdinPipe()
	out, err2 := session.StdoutPipe()
	if err := errors.Join(err, err2, session.Start("cat")); err != nil {
		return err
	}
	sent, got := make([]byte, chunk), make([]byte, chunk)
	for range chunks {
		rand.Read(sent)
		if _, err := in.Write(sent); err != nil {
			return fmt.Errorf("cut: %w", err)
		}
		if _, err := io.ReadFull(out, got); err != nil {
			return fmt.Errorf("cut: %w", err)
		}
		if !bytes.Equal(sent, got) {
			return errors.New("what came back is something else")
		}
		time.Sleep(50 * time.Millisecond) // the pace of the copy, not a wait
	}
	in.Close()
	if err := session.Wait(); err != nil {
		return fmt.Errorf("how it ended: %w", err)
	}
	return nil
}
