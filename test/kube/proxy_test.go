package kube

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// behindProxy is a lab whose gateway reaches the API server through a proxy.
func behindProxy(t *testing.T, p *harness.APIProxy, grants string, roles ...string) lab {
	t.Helper()
	return labIn(t, harness.NewNamespace(t, roles...).BehindProxy(t, p), grants)
}

// Proxies cut what is idle for a while. A ping of WebSocket's own keeps the way to the next
// server alone, so the helper and the gateway ask each other for signs of life.
func TestASilentSessionOutlivesAProxysPatience(t *testing.T) {
	t.Parallel()
	p := harness.StartAPIProxy(t)
	p.CutIdle(40 * time.Second) // the signs of life come each 30 s
	l := behindProxy(t, p, "master: root")
	l.Start(t, harness.Pod{Name: "master"})
	session := l.at(t, "master").StartCat(t)
	select {
	case <-session.Ended:
		t.Error("the session ended")
	case <-time.After(50 * time.Second):
		session.WantLine(t, "still here")
	}
	if p.Idled() > 0 {
		t.Error("the stream was idle")
	}
}

// Some proxies let no stream live for longer than a time.
func TestAProxyThatCutsAStreamEndsItsSessionsWithTheReason(t *testing.T) {
	t.Parallel()
	p := harness.StartAPIProxy(t)
	l := behindProxy(t, p, "master: root")
	l.Start(t, harness.Pod{Name: "master"})
	m, to, told := harness.Mark(), l.at(t, "master"), filepath.Join(t.TempDir(), "told")
	session := to.Start(t, `exec ssh h cat 2>`+told)
	session.WantLine(t, "hello")
	to.Start(t, `exec ssh -tt h "sleep `+m+`"`)
	slowly(t, "a terminal", func() bool { return has(l.processes(t, "master"), "sleep "+m) > 0 })
	p.Cut()
	if status := session.Wait(t); status != 255 || !strings.Contains(harness.Read(t, told), "through its cluster's API server ended") {
		t.Errorf("exit %d, told %s", status, harness.Brief(harness.Read(t, told)))
	}
	to.Want(t, `ssh h echo again`, "again\n")
	slowly(t, "the end of what ran on the terminal", func() bool { return has(l.processes(t, "master"), "sleep "+m) == 0 })
}

func TestAProxyThatKnowsNoWebSocketIsPassedBySPDY(t *testing.T) {
	t.Parallel()
	p := harness.StartAPIProxy(t)
	p.RefuseWebSocket()
	l := behindProxy(t, p, "master: root")
	l.Start(t, harness.Pod{Name: "master"})
	to := l.at(t, "master")
	to.Want(t, `head -c 5000000 /dev/urandom >sent && ssh h cat <sent | cmp - sent && echo same`, "same\n")
	to.Want(t, `ssh h 'echo e >&2; exit 7' 2>&1; echo $?`, "e\n7\n")
	if upgrades := p.Upgrades(); !slices.Contains(upgrades, "websocket") || !slices.Contains(upgrades, "SPDY/3.1") {
		t.Errorf("the proxy was asked for %q", upgrades)
	}
}
