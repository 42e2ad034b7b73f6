package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Gateway is a running gateway with a configuration and state of its own.
type Gateway struct {
	Dir     string // of gateway.yaml, state and log
	Address string // host:port
	Command *exec.Cmd
	Ended   chan struct{} // closed when the process has ended
	logFile string
}

// StartGateway starts a gateway. config is gateway.yaml without listen and state.
// When the test ends, the gateway must stop by itself, and its log must report no
// race and no panic.
func StartGateway(t *testing.T, dir, config string) *Gateway {
	t.Helper()
	return StartGatewayBy(t, dir, config, PlainHome)
}

// Runner returns the command that runs a program with its arguments, for example as
// another user or in a container.
type Runner func(program string, args ...string) *exec.Cmd

// StartGatewayBy is StartGateway with a Runner.
func StartGatewayBy(t *testing.T, dir, config string, by Runner) *Gateway {
	t.Helper()
	file := filepath.Join(dir, "gateway.yaml")
	Write(t, file, 0o600, "listen: 127.0.0.1:0\nstate: "+StateOf(dir)+"\n"+config)
	g := &Gateway{
		Dir:     dir,
		Command: by(Program("gateway"), "serve", "-v", "--log", "text", "--config", file, "--drain", "3s"),
		logFile: filepath.Join(dir, "gateway.log"),
	}
	g.Ended = StartLogged(t, g.Command, g.logFile)
	t.Cleanup(func() { g.stop(t) })
	g.Address = g.AwaitRecord(t, "serving")["address"]
	if g.Address == "" {
		t.Fatalf("the gateway did not start:\n%s", g.Log(t))
	}
	_, port, _ := net.SplitHostPort(g.Address)
	hostKey := PublicKey(t, filepath.Join(StateOf(dir), "ssh_host_ed25519_key"))
	Write(t, g.KnownHosts(), 0o600, fmt.Sprintf("[127.0.0.1]:%s %s\n", port, hostKey))
	return g
}

// StateOf returns the state directory of a gateway whose configuration is in dir.
func StateOf(dir string) string { return filepath.Join(dir, "state") }

// Target returns a door of this gateway, with clients for it.
func (g *Gateway) Target(t *testing.T, name, login, key string) Target {
	t.Helper()
	return NewTarget(t, g.Dir, name, g.Door(login, key))
}

// Door returns the gateway's door for a login.
func (g *Gateway) Door(login, key string) Door {
	return Door{g.Address, login, key, g.KnownHosts()}
}

// KnownHosts returns the path of a file with the gateway's host key.
func (g *Gateway) KnownHosts() string { return filepath.Join(g.Dir, "gateway.known_hosts") }

// Verb returns a command of the gateway's program, for this gateway.
func (g *Gateway) Verb(words ...string) *exec.Cmd {
	return exec.Command(Program("gateway"), append(words, "--config", filepath.Join(g.Dir, "gateway.yaml"))...)
}

// Signal sends the gateway a signal, if it still runs.
func (g *Gateway) Signal(signal os.Signal) { g.Command.Process.Signal(signal) }

// AwaitEnd waits until the gateway has ended, and returns its exit status.
func (g *Gateway) AwaitEnd(t *testing.T) int {
	t.Helper()
	AwaitEnd(t, "the gateway ends", g.Ended)
	return g.Command.ProcessState.ExitCode()
}

// stop ends the gateway, if it still runs, and reads its log.
func (g *Gateway) stop(t *testing.T) {
	t.Helper()
	g.Signal(syscall.SIGTERM)
	select {
	case <-g.Ended:
	case <-time.After(Patience):
		g.Signal(syscall.SIGQUIT)
		t.Error("the gateway does not stop; its goroutines are in the log")
		<-g.Ended
	}
	log := g.Log(t)
	for _, bad := range []string{"WARNING: DATA RACE", "msg=panic", "panic: ", "fatal error: "} {
		if strings.Contains(log, bad) {
			t.Errorf("the gateway's log has %q", bad)
		}
	}
}

// StartLogged starts a command whose output goes to a file, which is shown if the
// test fails. The command is killed when the test ends.
func StartLogged(t *testing.T, command *exec.Cmd, path string) (ended chan struct{}) {
	t.Helper()
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // where the test is killed, too
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		command.Wait()
	}()
	t.Cleanup(func() {
		command.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), Read(t, path))
		}
	})
	return ended
}
