package test

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEngineFaults has sessions go on whatever befalls the engine.
func TestEngineFaults(t *testing.T) {
	t.Parallel()
	proxy := startEngineProxy(t, filepath.Join(t.TempDir(), "engine.sock"))
	l := startLab(t, place{docker: proxy.address, mounted: true})
	to := l.door

	t.Run("an_exec_has_no_tty_and_no_secret", func(t *testing.T) {
		to.want(t, "ssh -tt h tty >/dev/null </dev/null; echo $?", "0\n")
		asked := proxy.whatWasAsked()
		if !strings.Contains(asked, "/exec HTTP") || regexp.MustCompile(`(?i)"tty": *true`).MatchString(asked) {
			t.Errorf("no exec, or one with a TTY, in what the engine was asked:\n%s", brief(asked))
		}
		allowed := regexp.MustCompile(`^exec_create: /usr/lib/berth/[0-9a-f]{64} helper run --socket /usr/lib/berth/gateway-[A-Z0-9]{8}\.sock ?$`)
		events := execsOf(t, l.container)
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
		session := to.startCat(t)
		proxy.cut()
		session.wantEcho(t, "after the cut")
	})
	t.Run("an_engine_that_hangs_is_told_of", func(t *testing.T) {
		session := to.startCat(t)
		proxy.hang(true)
		proxy.cut()
		got := to.run(t, "ssh h true")
		if got.exit != 255 || !strings.Contains(got.stderr, "the engine does not answer") {
			t.Errorf("exit %d, stderr %s", got.exit, brief(got.stderr))
		}
		session.wantEcho(t, "while it hangs")
		proxy.hang(false)
		await(t, "a login", func() bool { return to.run(t, "ssh h true").exit == 0 })
	})
	t.Run("streams_that_are_cut_end_their_sessions_only", func(t *testing.T) {
		session := to.startCat(t)
		cutStreams(t)
		session.wantEcho(t, "after the cut")
	})
}

// cutStreams has a gateway that no descriptor reaches lose its streams.
func cutStreams(t *testing.T) {
	proxy, certificates := startTLSEngine(t)
	l := startLab(t, place{docker: proxy.address, by: withEnv("DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+certificates)})
	m := mark()
	told := filepath.Join(t.TempDir(), "told")
	session := l.door.start(t, `exec ssh -tt h "sleep `+m+`" 2>`+told)
	awaitMarked(t, m)
	proxy.cut()
	if status := session.wait(t); status != 255 || !strings.Contains(read(t, told), "has gone away") {
		t.Errorf("exit %d, told %s", status, brief(read(t, told)))
	}
	awaitNoneMarked(t, m)
	l.door.want(t, "ssh h 'echo again'", "again\n")
}

// startCat starts a session that answers what it is told.
func (to target) startCat(t *testing.T) *client {
	t.Helper()
	session := to.start(t, "exec ssh h cat")
	session.wantEcho(t, "hello")
	return session
}

func (c *client) wantEcho(t *testing.T, line string) {
	t.Helper()
	io.WriteString(c.stdin, line+"\n")
	got := make([]byte, len(line)+1)
	if _, err := io.ReadFull(c.stdout, got); err != nil || string(got) != line+"\n" {
		t.Errorf("got %q, %v, want %q", got, err, line)
	}
}

// execsOf are the execs that the engine tells of a container.
func execsOf(t *testing.T, container string) []string {
	t.Helper()
	out := must(t, exec.Command("docker", "events", "--since", "10m", "--until", fmt.Sprint(time.Now().Unix()+1), "--filter", "container="+container, "--format", "{{.Action}}"))
	var execs []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "exec_create") {
			execs = append(execs, strings.TrimSpace(line))
		}
	}
	return execs
}

// TestEngineRestart restarts an engine of its own that leaves its containers
// alone meanwhile (live-restore).
func TestEngineRestart(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "dockerd", "ssh")
	dir := t.TempDir()
	image := filepath.Join(dir, "image.tar")
	tag := tinyImage(t)
	must(t, exec.Command("docker", "save", "-o", image, tag))
	socket := filepath.Join(dir, "docker.sock")
	t.Cleanup(func() { exec.Command("sh", "-c", `umount -l "$0"/exec/netns/* "$0"/data`, dir).Run() })
	engine := startEngine(t, dir, socket)
	docker := func(args ...string) *exec.Cmd {
		return exec.Command("docker", append([]string{"-H", "unix://" + socket}, args...)...)
	}
	must(t, docker("load", "-q", "-i", image))
	key := makeKey(t, dir, "id")
	g := startGateway(t, dir, fmt.Sprintf("docker: unix://%s\nusers:\n  dev: { keys: [ %s ], hosts: { lab: dev } }\n", socket, publicKey(t, key)))
	must(t, docker("run", "-d", "--name", "lab", "--label", "berth.host=lab", "--network", "none", "-v", filepath.Dir(helperFile(t, dir))+":/usr/lib/berth:ro", tag))
	to := g.target(t, "exec", "dev+lab", key)
	session := to.startCat(t)
	engine.Process.Signal(syscall.SIGTERM)
	engine.Wait()
	session.wantEcho(t, "without an engine")
	startEngine(t, dir, socket)
	t.Cleanup(func() { must(t, docker("rm", "-f", "lab")) })
	session.wantEcho(t, "with another")
	await(t, "a login", func() bool { return to.run(t, "ssh h true").exit == 0 })
}
