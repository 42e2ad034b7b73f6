package gateway

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// waitsFor returns hosts whose lookup fails so many times with a patience, and then
// succeeds.
func waitsFor(m *fakeMachine, failures int32, patience time.Duration) (*fakeHosts, *atomic.Int32) {
	from, tries := atMachine(m), &atomic.Int32{}
	from.lookup = func(name string) (hosts.Host, error) {
		if tries.Add(1) <= failures {
			return hosts.Host{}, &hosts.Unreachable{Host: name, Why: "is restarting", Patience: patience}
		}
		return hosts.Host{Name: name, Route: labels.RouteExec}, nil
	}
	return from, tries
}

func TestAHostThatComesBackIsWaitedFor(t *testing.T) {
	from, tries := waitsFor(newFakeMachine(echoes), 3, time.Hour)
	g := startGateway(t, from)
	if got := runs(t, g.enter(t, "dev+lab"), "x"); got.status != 3 || tries.Load() != 4 {
		t.Errorf("after %d tries: %+v", tries.Load(), got)
	}
}

func TestAHostThatWillNotComeBackIsNotWaitedFor(t *testing.T) {
	from, tries := waitsFor(newFakeMachine(echoes), 1000, 0)
	g := startGateway(t, from)
	got := runs(t, g.enter(t, "dev+lab"), "x")
	if want := (said{"", "berth: host \"lab\" is restarting\n", 255}); got != want || tries.Load() != 1 {
		t.Errorf("after %d tries: %+v", tries.Load(), got)
	}
}

func TestNobodyWaitsLongerThanTheGatewayLets(t *testing.T) {
	from, _ := waitsFor(newFakeMachine(echoes), 1000, time.Hour)
	g := startGateway(t, from, func(s *Server) { s.Wait = 300 * time.Millisecond })
	if got := runs(t, g.enter(t, "dev+lab"), "x"); got.status != 255 {
		t.Errorf("got %+v", got)
	}
}

// When a client leaves, the wait for its host ends.
func TestAClientThatLeavesEndsTheWait(t *testing.T) {
	from, tries := waitsFor(newFakeMachine(echoes), 1000, time.Hour)
	g := startGateway(t, from, func(s *Server) { s.Wait = time.Hour })
	client := g.enter(t, "dev+lab")
	harness.Eventually(t, "it waits", func() bool { return tries.Load() > 1 })
	client.Close()
	harness.Eventually(t, "nothing of the connection is left", func() bool { return len(g.Live()) == 0 })
	if log := g.log.String(); !strings.Contains(log, "the client left before its host was reached") || strings.Contains(log, "is restarting\"") {
		t.Errorf("the log says %s", log)
	}
}

// An sshd that is still starting may refuse the gateway at first.
func TestAnSshdThatStartsUpIsTriedAgain(t *testing.T) {
	var tries atomic.Int32
	sshd := &fakeSshd{serve: runsCommands, accept: func(ssh.ConnMetadata, ssh.PublicKey) error {
		if tries.Add(1) < 3 {
			return errors.New("not yet")
		}
		return nil
	}}
	g := startGateway(t, sshdOf(t, sshd, func(to *hosts.Sshd) { to.Patience = time.Hour }))
	if got := runs(t, g.enter(t, "dev+lab"), "x"); got.status != 4 {
		t.Errorf("got %+v", got)
	}
}

// An engine's error may contain paths and addresses. The person gets only the line
// that is meant for people.
func TestTheCauseIsForTheLogAlone(t *testing.T) {
	from := atMachine(nil)
	from.open = func(hosts.Host, string) (hosts.Entrance, error) {
		return hosts.Entrance{}, &hosts.Unreachable{Host: "lab", Why: "cannot be entered", Cause: errors.New("at /run/engine.sock")}
	}
	g := startGateway(t, from)
	got := runs(t, g.enter(t, "dev+lab"), "x")
	if want := (said{"", "berth: host \"lab\" cannot be entered\n", 255}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !strings.Contains(g.log.String(), "cause=\"at /run/engine.sock\"") {
		t.Error("the log does not tell the cause")
	}
}
