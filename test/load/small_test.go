package load

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// sessionLimit is much more than a session takes on a slow machine.
const sessionLimit = 2 * time.Minute

// TestSmallSessions: many sessions of a moment each, of OpenSSH's client and of
// Dropbear's, of a gateway that has a third of a processor. None hangs and none ends
// otherwise than it should. One that does is shown with what the gateway's goroutines
// and the helper's threads do.
func TestSmallSessions(t *testing.T) {
	harness.NeedRoot(t)
	harness.Need(t, "dbclient", "dropbearconvert")
	m := harness.StartMachine(t)
	smallSessions(t, m.Gateway, m.Local)
	c := harness.StartContainer(t)
	g := harness.StartGateway(t, c.Dir, c.Config(t))
	smallSessions(t, g, g.Target(t, "exec", "dev+lab", c.Key))
	streams := harness.StartStreams(t, c)
	streams.Door.Name = "streams"
	smallSessions(t, streams.Gateway, streams.Door)
}

func smallSessions(t *testing.T, g *harness.Gateway, to harness.Target) {
	t.Run(to.Name, func(t *testing.T) {
		to.Want(t, "ssh h true", "") // the helper runs
		harness.Quota(t, 0.3, g.Command.Process.Pid)
		small := newSmall(t, to)
		const workers = 6
		var working sync.WaitGroup
		var next atomic.Int64
		for range workers {
			working.Go(func() {
				for n := next.Add(1); n <= int64(harness.Load(40, 1000)) && !t.Failed(); n = next.Add(1) {
					small.try(t, g, int(n))
				}
			})
		}
		working.Wait()
	})
}

// small is what sessions of a moment are made with.
type small struct {
	to      harness.Target
	home    string // of dbclient
	options string
}

func newSmall(t *testing.T, to harness.Target) small {
	t.Helper()
	home := t.TempDir()
	key := filepath.Join(home, "key")
	harness.Must(t, exec.Command("dropbearconvert", "openssh", "dropbear", to.Key, key))
	host, port, _ := strings.Cut(to.Address, ":")
	return small{to, home, fmt.Sprintf("-y -y -i %s -p %s -l %s %s", key, port, to.Login, host)}
}

// try has one session, and wants it to end as it should.
func (s small) try(t *testing.T, g *harness.Gateway, n int) {
	client := "ssh h"
	if n%2 == 0 {
		client = "dbclient " + s.options
	}
	line := client + " 'exit 44'"
	want := harness.Result{Exit: 44}
	if n%4 >= 2 {
		line, want = fmt.Sprintf("echo data %d | %s cat", n, client), harness.Result{Stdout: fmt.Sprintf("data %d\n", n)}
	}
	ctx, cancel := context.WithTimeout(t.Context(), sessionLimit)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-c", line)
	command.Env = append(s.to.Env(), "HOME="+s.home)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	began := time.Now()
	command.Run()
	if ctx.Err() != nil {
		dump(t, g)
		t.Errorf("%s: hangs", line)
		return
	}
	got := harness.Result{Stdout: stdout.String(), Exit: command.ProcessState.ExitCode()}
	if got != want {
		t.Errorf("%s, after %v: exit %d, %q, %s", line, time.Since(began), got.Exit, got.Stdout, stderr.String())
	}
}

// dump tells what the gateway's goroutines do, which its log has then, and what the
// threads of every helper wait for.
func dump(t *testing.T, g *harness.Gateway) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil || !harness.IsHelper(pid) {
			continue
		}
		threads, _ := filepath.Glob(process + "/task/*/stack")
		for _, thread := range threads {
			text, _ := os.ReadFile(thread)
			t.Logf("%s:\n%s", thread, text)
		}
	}
	g.Signal(syscall.SIGQUIT)
}
