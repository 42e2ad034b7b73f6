package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gateway is a running gateway with a configuration and state of its own.
type gateway struct {
	dir     string
	address string
	command *exec.Cmd
	logFile string
	ended   chan struct{} // closed when the process has ended
}

// startGateway starts a gateway; config is all of gateway.yaml but listen and
// state. When the test ends the gateway must stop by itself, and its log must
// tell of no race and no panic.
func startGateway(t *testing.T, dir, config string) *gateway {
	t.Helper()
	return startGatewayBy(t, dir, config, plainHome)
}

func startGatewayBy(t *testing.T, dir, config string, by runner) *gateway {
	t.Helper()
	file := filepath.Join(dir, "gateway.yaml")
	write(t, file, 0o600, "listen: 127.0.0.1:0\nstate: "+stateOf(dir)+"\n"+config)
	g := &gateway{
		dir:     dir,
		command: by(program("gateway"), "serve", "-v", "--config", file, "--drain", "3s"),
		logFile: filepath.Join(dir, "gateway.log"),
	}
	g.ended = startLogged(t, g.command, g.logFile)
	t.Cleanup(func() { g.stop(t) })
	serving := regexp.MustCompile(`msg=serving address=(\S+)`)
	await(t, "the gateway", func() bool {
		found := serving.FindStringSubmatch(g.log(t))
		if found != nil {
			g.address = found[1]
		}
		return found != nil || isClosed(g.ended)
	})
	if g.address == "" {
		t.Fatalf("the gateway did not start:\n%s", g.log(t))
	}
	_, port, _ := net.SplitHostPort(g.address)
	hostKey := publicKey(t, filepath.Join(stateOf(dir), "ssh_host_ed25519_key"))
	write(t, g.knownHosts(), 0o600, fmt.Sprintf("[127.0.0.1]:%s %s\n", port, hostKey))
	return g
}

func stateOf(dir string) string { return filepath.Join(dir, "state") }

// target is a door of this gateway.
func (g *gateway) target(t *testing.T, name, login, key string) target {
	t.Helper()
	return newTarget(t, g.dir, name, door{g.address, login, key, g.knownHosts()})
}

func (g *gateway) knownHosts() string { return filepath.Join(g.dir, "gateway.known_hosts") }

func (g *gateway) log(t *testing.T) string {
	t.Helper()
	return read(t, g.logFile)
}

func (g *gateway) signal(signal os.Signal) { g.command.Process.Signal(signal) }

// stop ends the gateway, if it still runs, and reads its log.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	g.signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(patience):
		g.signal(syscall.SIGQUIT)
		t.Error("the gateway does not stop; its goroutines are in the log")
		<-g.ended
	}
	log := g.log(t)
	for _, bad := range []string{"WARNING: DATA RACE", "panic"} {
		if strings.Contains(log, bad) {
			t.Errorf("the gateway's log has %q", bad)
		}
	}
}

// startLogged starts a command whose output goes to a file, which is shown if
// the test fails, and which is killed at the end of the test.
func startLogged(t *testing.T, command *exec.Cmd, path string) (ended chan struct{}) {
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
			t.Logf("%s:\n%s", filepath.Base(path), read(t, path))
		}
	})
	return ended
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
