package harness

import (
	"bytes"
	"errors"
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

// Target is one door to a machine or a container, with clients for it.
type Target struct {
	Name string
	Door
	Clients string // directory of ssh, scp and sftp commands for which the target is host h
	Oracle  Door   // the bare sshd of the same machine, if there is one
	config  string // path of the ssh_config that the clients read
}

func withOracle(oracle Door, targets ...Target) []Target {
	for i := range targets {
		targets[i].Oracle = oracle
	}
	return targets
}

// Door is what an ssh_config needs for a target.
type Door struct {
	Address    string // host:port
	Login      string
	Key        string // path; a certificate beside it is used, too
	KnownHosts string // file
}

// NewTarget writes the ssh_config of a door, and clients that read it, into dir.
func NewTarget(t *testing.T, dir, name string, to Door) Target {
	t.Helper()
	host, port, err := net.SplitHostPort(to.Address)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, name+".ssh_config")
	Write(t, config, 0o600, fmt.Sprintf(`Host h
	HostName %s
	Port %s
	User %s
	IdentityFile %s
	IdentitiesOnly yes
	BatchMode yes
	UserKnownHostsFile %s
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking yes
	LogLevel ERROR
`, host, port, to.Login, to.Key, to.KnownHosts))
	return Target{Name: name, Door: to, Clients: wrapClients(t, filepath.Join(dir, name+".clients"), config), config: config}
}

// With returns the same door with additional options, which override its own.
func (to Target) With(t *testing.T, dir, name string, options ...string) Target {
	t.Helper()
	name = to.Name + "_" + name
	config := filepath.Join(dir, name+".ssh_config")
	Write(t, config, 0o600, "Host h\n"+strings.Join(options, "\n")+"\n"+Read(t, to.config))
	clients := wrapClients(t, filepath.Join(dir, name+".clients"), config)
	return Target{name, to.Door, clients, to.Oracle, config}
}

// wrapClients writes clients that always read this config.
func wrapClients(t *testing.T, dir, config string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ssh", "scp", "sftp"} {
		program, err := exec.LookPath(name)
		if err != nil {
			Missing(t, name+" is not installed")
		}
		Write(t, filepath.Join(dir, name), 0o700, fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", program, config))
	}
	return dir
}

// Result is the result of a command.
type Result struct {
	Stdout, Stderr string
	Exit           int
}

// Run runs a short bash script against the target, in an empty directory; longer
// scripts are files (see [Scripts]). A script that takes longer than ScriptLimit
// fails the test.
func (to Target) Run(t *testing.T, script string, env ...string) Result {
	t.Helper()
	return to.RunIn(t, t.TempDir(), script, env...)
}

// RunIn is Run in a given directory.
func (to Target) RunIn(t *testing.T, dir, script string, env ...string) Result {
	t.Helper()
	command := to.Command(dir, script, env...)
	command.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(ScriptLimit(), func() { syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	err := command.Wait()
	if exited := (*exec.ExitError)(nil); !timeout.Stop() || err != nil && !errors.As(err, &exited) {
		t.Fatalf("%v\nscript: %s\nstdout: %s\nstderr: %s", err, script, Brief(stdout.String()), Brief(stderr.String()))
	}
	return Result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// ScriptLimit is how long a script may take.
func ScriptLimit() time.Duration {
	if EveryClient() || Soaking() {
		return 30 * time.Minute
	}
	return 3 * Patience
}

// Command returns a bash script against the target, in a process group of its own.
func (to Target) Command(dir, script string, env ...string) *exec.Cmd {
	command := exec.Command("bash", "-c", script)
	command.Dir = dir
	command.Env = append(to.Env(), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// Env returns the environment of clients, without anything that changes their
// behaviour.
func (to Target) Env() []string {
	return []string{"PATH=" + to.Clients + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TERM=dumb"}
}

// Want runs a script that must print exactly this, nothing on stderr, and exit 0.
func (to Target) Want(t *testing.T, script, stdout string, env ...string) {
	t.Helper()
	Check(t, script, to.Run(t, script, env...), Result{Stdout: stdout})
}

// Check fails the test if a script had another result than it should.
func Check(t *testing.T, script string, got, want Result) {
	t.Helper()
	if got != want {
		t.Errorf("script: %s\n got exit %d, stdout %s, stderr %s\nwant exit %d, stdout %s, stderr %s", Brief(script),
			got.Exit, Brief(got.Stdout), Brief(got.Stderr), want.Exit, Brief(want.Stdout), Brief(want.Stderr))
	}
}
