package life

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// TestEngineFaults has sessions go on whatever befalls the engine.
func TestEngineFaults(t *testing.T) {
	t.Parallel()
	proxy := harness.StartEngineProxy(t, filepath.Join(t.TempDir(), "engine.sock"))
	l := harness.StartLab(t, harness.Place{Docker: proxy.Address, Mounted: true})
	to := l.Door

	t.Run("an_exec_has_no_tty_and_no_secret", func(t *testing.T) {
		to.Want(t, "ssh -tt h tty >/dev/null </dev/null; echo $?", "0\n")
		asked := proxy.Asked()
		if !strings.Contains(asked, "/exec HTTP") || regexp.MustCompile(`(?i)"tty": *true`).MatchString(asked) {
			t.Errorf("no exec, or one with a TTY, in what the engine was asked:\n%s", harness.Brief(asked))
		}
		allowed := regexp.MustCompile(`^exec_create: /usr/lib/berth/[0-9a-f]{64} helper run --socket /usr/lib/berth/gateway-[A-Z0-9]{8}\.sock ?$`)
		events := execsOf(t, l.Container)
		if len(events) == 0 {
			t.Error("no exec in the engine's events")
		}
		for _, event := range events {
			if !allowed.MatchString(event) {
				t.Errorf("the engine's events tell %q", event)
			}
		}
	})
	t.Run("sessions_outlive_connections_to_the_engine", func(t *testing.T) {
		session := to.StartCat(t)
		proxy.Cut()
		session.WantLine(t, "after the cut")
	})
	t.Run("an_engine_that_hangs_is_told_of", func(t *testing.T) {
		session := to.StartCat(t)
		proxy.Hang(true)
		proxy.Cut()
		got := to.Run(t, "ssh h true")
		if got.Exit != 255 || !strings.Contains(got.Stderr, "the engine does not answer") {
			t.Errorf("exit %d, stderr %s", got.Exit, harness.Brief(got.Stderr))
		}
		session.WantLine(t, "while it hangs")
		proxy.Hang(false)
		harness.Eventually(t, "a login", func() bool { return to.Run(t, "ssh h true").Exit == 0 })
	})
	t.Run("streams_that_are_cut_end_their_sessions_only", func(t *testing.T) {
		session := to.StartCat(t)
		cutStreams(t)
		session.WantLine(t, "after the cut")
	})
}

// cutStreams has a gateway that no descriptor reaches lose its streams.
func cutStreams(t *testing.T) {
	proxy, certificates := harness.StartTLSEngine(t)
	l := harness.StartLab(t, harness.BehindTLS(proxy, certificates))
	m := harness.Mark()
	told := filepath.Join(t.TempDir(), "told")
	session := l.Door.Start(t, `exec ssh -tt h "sleep `+m+`" 2>`+told)
	harness.AwaitMarked(t, m)
	proxy.Cut()
	if status := session.Wait(t); status != 255 || !strings.Contains(harness.Read(t, told), "has gone away") {
		t.Errorf("exit %d, told %s", status, harness.Brief(harness.Read(t, told)))
	}
	harness.AwaitNoneMarked(t, m)
	l.Door.Want(t, "ssh h 'echo again'", "again\n")
}

// execsOf are the execs that the engine tells of a container.
func execsOf(t *testing.T, container string) []string {
	t.Helper()
	out := harness.Must(t, exec.Command("docker", "events", "--since", "10m", "--until", fmt.Sprint(time.Now().Unix()+1), "--filter", "container="+container, "--format", "{{.Action}}"))
	var execs []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "exec_create") {
			execs = append(execs, strings.TrimSpace(line))
		}
	}
	return execs
}
