package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// target is one door to a machine.
type target struct {
	name string
	door
	clients string // directory of ssh, scp and sftp, for which the target is host h
}

// door is what an ssh_config says of a target.
type door struct {
	address    string // host:port
	login      string
	key        string // file; a certificate beside it is shown, too
	knownHosts string // file
}

func newTarget(t *testing.T, dir, name string, to door) target {
	t.Helper()
	host, port, _ := strings.Cut(to.address, ":")
	config := filepath.Join(dir, name+".ssh_config")
	write(t, config, 0o600, fmt.Sprintf(`Host h
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
`, host, port, to.login, to.key, to.knownHosts))
	return target{name, to, wrapClients(t, filepath.Join(dir, name+".clients"), config)}
}

// wrapClients makes clients that read the config, wherever they are called from.
func wrapClients(t *testing.T, dir, config string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ssh", "scp", "sftp"} {
		program, err := exec.LookPath(name)
		if err != nil {
			missing(t, name+" is not installed")
		}
		write(t, filepath.Join(dir, name), 0o700, fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", program, config))
	}
	return dir
}

// preamble gives scripts make_far, a directory at the target that goes when
// the script ends.
const preamble = `
make_far() { far=$(ssh h mktemp -d) && trap 'ssh h rm -rf $far' EXIT; }
`

// result is how a script ended.
type result struct {
	stdout, stderr string
	exit           int
}

// run runs a bash script against the target, in an empty directory.
func (to target) run(t *testing.T, script string, env ...string) result {
	t.Helper()
	return to.runIn(t, t.TempDir(), script, env...)
}

func (to target) runIn(t *testing.T, dir, script string, env ...string) result {
	t.Helper()
	command := to.command(t, dir, script, env...)
	command.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(scriptLimit(), func() { syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	err := command.Wait()
	if exited := (*exec.ExitError)(nil); !timeout.Stop() || err != nil && !errors.As(err, &exited) {
		t.Fatalf("%v\nscript: %s\nstdout: %s\nstderr: %s", err, script, brief(stdout.String()), brief(stderr.String()))
	}
	return result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// scriptLimit is how long a script may take.
func scriptLimit() time.Duration {
	if everything() || soaking() {
		return 30 * time.Minute
	}
	return 3 * patience
}

func (to target) command(t *testing.T, dir, script string, env ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command("bash", "-c", preamble+script)
	command.Dir = dir
	command.Env = append(to.env(), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// env is what scripts run with: nothing that changes what clients do.
func (to target) env() []string {
	return []string{"PATH=" + to.clients + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TERM=dumb"}
}

// want runs a script that must end with nothing on stderr and exit status 0.
func (to target) want(t *testing.T, script, stdout string, env ...string) {
	t.Helper()
	check(t, script, to.run(t, script, env...), result{stdout: stdout})
}

func check(t *testing.T, script string, got, want result) {
	t.Helper()
	if got != want {
		t.Errorf("script: %s\n got exit %d, stdout %s, stderr %s\nwant exit %d, stdout %s, stderr %s", brief(script),
			got.exit, brief(got.stdout), brief(got.stderr), want.exit, brief(want.stdout), brief(want.stderr))
	}
}
