package kube

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// holdAPIServer kills the cluster's API server, and lets none start until release is
// called.
func holdAPIServer(t *testing.T) (release func()) {
	t.Helper()
	hold := filepath.Join(os.Getenv(harness.EnvKube), "api.hold")
	harness.Write(t, hold, 0o600, "")
	release = func() { os.Remove(hold) }
	t.Cleanup(release)
	signalAPIServer(t, syscall.SIGKILL)
	return release
}

// silenceAPIServer has the API server say nothing until release is called: its
// connections stay.
func silenceAPIServer(t *testing.T) (release func()) {
	t.Helper()
	signalAPIServer(t, syscall.SIGSTOP)
	release = sync.OnceFunc(func() { signalAPIServer(t, syscall.SIGCONT) })
	t.Cleanup(release)
	return release
}

func signalAPIServer(t *testing.T, signal syscall.Signal) {
	t.Helper()
	pid := strings.TrimSpace(harness.Read(t, filepath.Join(os.Getenv(harness.EnvKube), "api.pid")))
	if err := syscall.Kill(harness.Number(t, pid), signal); err != nil {
		t.Fatal(err)
	}
}

// awaitAPIServer waits until it serves.
func awaitAPIServer(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.ClusterPatience)
	defer cancel()
	harness.Must(t, exec.CommandContext(ctx, "sh", "-c", "until kubectl get --raw /readyz; do sleep 0.1; done 2>/dev/null"))
}

// awaitNodes waits until the cluster has found its nodes again.
func awaitNodes(t *testing.T) {
	t.Helper()
	harness.Must(t, exec.Command("kubectl", "wait", "--for=condition=Ready", "nodes", "--all", "--timeout="+harness.ClusterPatience.String()))
}

// twoSources is a gateway to a pod, master, and to a container here.
type twoSources struct {
	lab
	elsewhere harness.Target
}

func startTwoSources(t *testing.T) twoSources {
	t.Helper()
	host := harness.HostName("elsewhere")
	harness.RunContainer(t, "--init", "--network", "none", "--label", "berth.host="+host, harness.BaseImage(t), "sleep", "infinity")
	n, dir := harness.NewNamespace(t), harness.OpenDir(t)
	n.Start(t, harness.Pod{Name: "master"})
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGateway(t, dir, strings.TrimPrefix(n.Clusters(), "docker: none\n")+
		fmt.Sprintf("wait: 5s\nusers:\n  dev: { keys: [ %s ], hosts: { master: root, %s: root } }\n", harness.PublicKey(t, key), host))
	return twoSources{lab{n, g, key}, g.Target(t, "elsewhere", "dev+"+host, key)}
}

// Hosts elsewhere are entered as before while a cluster's API server is gone, and sessions
// there go on. Sessions in its pods end with the reason, and logins to them are refused with
// it. make soak holds it down for a minute.
func TestAnAPIServerThatIsGoneHarmsNoHostElsewhere(t *testing.T) {
	l := startTwoSources(t)
	session, before := l.elsewhere.StartCat(t), l.elsewhere.Logins(t)
	to, told := l.at(t, "master"), filepath.Join(t.TempDir(), "told")
	inPod := to.Start(t, `exec ssh h cat 2>`+told)
	inPod.WantLine(t, "hello")
	held := time.Now()
	release := holdAPIServer(t)
	during := l.elsewhere.Logins(t)
	exit := inPod.Wait(t)
	want := `berth: host "master" has gone away: it cannot be reached: the connection through its cluster's API server ended`
	if got := harness.Read(t, told); exit != 255 || !strings.Contains(got, want) {
		t.Errorf("the session ends with %d, %q; want %q", exit, got, want)
	}
	began := time.Now()
	got := to.Run(t, `ssh h true`)
	if want := `host "master" cannot be entered: cluster lab does not answer since `; got.Exit != 255 || !strings.Contains(got.Stderr, want) {
		t.Errorf("a login: exit %d, %q; want %q", got.Exit, got.Stderr, want)
	}
	t.Logf("a login to the pod is refused after %.1f s", time.Since(began).Seconds())
	for harness.Soaking() && time.Since(held) < time.Minute {
		during = append(during, l.elsewhere.Logins(t)...)
	}
	session.WantLine(t, "still here")
	release()
	awaitAPIServer(t)
	ready := time.Now()
	slowly(t, "the pod is entered again", func() bool { return to.Run(t, `ssh h echo again`).Stdout == "again\n" })
	t.Logf("the pod is entered again %.1f s after the API server is ready", time.Since(ready).Seconds())
	awaitNodes(t)
	t.Logf("logins elsewhere before: %v; while the API server is gone: %v", before, during)
}

// An API server that says nothing for a while, as one behind a wire that was pulled, ends
// nothing: its sessions wait. make soak has it be silent until they end.
func TestASilentAPIServerHarmsNoHostElsewhere(t *testing.T) {
	l := startTwoSources(t)
	session, before := l.elsewhere.StartCat(t), l.elsewhere.Logins(t)
	to, told := l.at(t, "master"), filepath.Join(t.TempDir(), "told")
	inPod := to.Start(t, `exec ssh h cat 2>`+told)
	inPod.WantLine(t, "hello")
	release := silenceAPIServer(t)
	silent := time.Now()
	during := l.elsewhere.Logins(t)
	for harness.Soaking() && time.Since(silent) < 30*time.Second {
		during = append(during, l.elsewhere.Logins(t)...)
	}
	release()
	inPod.WantLine(t, "still here")
	t.Logf("logins elsewhere before: %v; during a silence of %.0f s: %v", before, time.Since(silent).Seconds(), during)
	if harness.Soaking() {
		during = nil
		release, silent = silenceAPIServer(t), time.Now()
		for !harness.IsClosed(inPod.Ended) && time.Since(silent) < 3*time.Minute {
			during = append(during, l.elsewhere.Logins(t)...)
		}
		exit := inPod.Wait(t)
		if got := harness.Read(t, told); exit != 255 || !strings.Contains(got, "through its cluster's API server ended") {
			t.Errorf("the session ends with %d, %q", exit, got)
		}
		t.Logf("the session in the pod ends after %.0f s of silence; logins elsewhere: %v", time.Since(silent).Seconds(), during)
		release()
	}
	session.WantLine(t, "still here")
	awaitAPIServer(t)
	slowly(t, "the pod is entered again", func() bool { return to.Run(t, `ssh h echo again`).Stdout == "again\n" })
	awaitNodes(t)
}
