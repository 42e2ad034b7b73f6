package gateway

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// limit puts limits of dev into force.
func (g *testGateway) limit(t *testing.T, limits auth.Limits) {
	t.Helper()
	policy, err := auth.NewPolicy([]auth.User{
		{Name: "dev", Keys: []ssh.PublicKey{g.dev.PublicKey()}, Hosts: map[string]auth.Grant{"lab": {}, "more": {}}, Limits: limits},
		{Name: "other", Keys: []ssh.PublicKey{g.other.PublicKey()}, Hosts: map[string]auth.Grant{"vault": {}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.replace(policy)
}

// The limit of connections holds for a person, over all hosts.
func TestAPersonHasSoManyConnectionsAtMost(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	g.limit(t, auth.Limits{Connections: 2})
	first := g.enter(t, "dev+lab")
	startWaiting(t, first)
	startWaiting(t, g.enter(t, "dev+more"))
	third := g.enter(t, "dev+lab")
	if got := runs(t, third, "x"); got.status != 255 || got.err != "berth: dev has 2 connections already, and may have no more\n" {
		t.Errorf("a third connection: %+v", got)
	}
	third.Close()
	other, err := g.dial("other+vault", nil, ssh.PublicKeys(g.other))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	startWaiting(t, other)
	first.Close()
	harness.Eventually(t, "there is room for one more", func() bool { return len(g.Live()) == 2 })
	startWaiting(t, g.enter(t, "dev+lab"))
}

func TestAPersonHasSoManySessionsAtMost(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	g.limit(t, auth.Limits{Sessions: 2})
	lab, more := g.enter(t, "dev+lab"), g.enter(t, "dev+more")
	startWaiting(t, lab)
	last, _, _ := startWaiting(t, more)
	if _, err := lab.NewSession(); err == nil || !strings.Contains(err.Error(), "more than 2 sessions of dev") {
		t.Errorf("a third session: %v", err)
	}
	last.Close()
	harness.Eventually(t, "there is room for one more", func() bool {
		s, err := lab.NewSession()
		if err == nil {
			s.Close()
		}
		return err == nil
	})
}

// dialled is a machine whose connections stay open.
type dialled struct{ *fakeMachine }

func (dialled) Dial(string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		io.Copy(io.Discard, far)
		far.Close()
	}()
	return near, nil
}

func TestAPersonHasSoManyForwardsAtMost(t *testing.T) {
	g := startGateway(t, atMachine(dialled{newFakeMachine(waits)}))
	g.limit(t, auth.Limits{Forwards: 2})
	client := g.enter(t, "dev+lab")
	one, err := client.Dial("tcp", "localhost:80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Dial("unix", "/run/x"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Dial("tcp", "localhost:80"); err == nil || !strings.Contains(err.Error(), "more than 2 forwards of dev") {
		t.Errorf("a third forward: %v", err)
	}
	startWaiting(t, client) // is not a forward
	one.Close()
	harness.Eventually(t, "there is room for one more", func() bool {
		_, err := client.Dial("tcp", "localhost:80")
		return err == nil
	})
}

// inBubble connects dev to a gateway inside a synctest bubble, with its clock.
func inBubble(t *testing.T, limits auth.Limits, m machine.Machine) (client *ssh.Client, served chan struct{}) {
	t.Helper()
	key := newSigner(t)
	policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Keys: []ssh.PublicKey{key.PublicKey()}, Hosts: map[string]auth.Grant{"lab": {}}, Limits: limits}})
	if err != nil {
		t.Fatal(err)
	}
	hostKey := newSigner(t)
	s := &Server{HostKeys: HostKeys{Key: hostKey}.Fixed, Keeper: &keeper.Keeper{Policies: auth.NewPolicies(policy), Hosts: atMachine(m)}, Log: slog.New(slog.DiscardHandler), Keepalive: 30 * time.Second}
	ours, theirs := net.Pipe()
	served = make(chan struct{})
	go func() {
		defer close(served)
		s.serve(t.Context(), newConn(s, ours))
	}()
	conn, channels, requests, err := ssh.NewClientConn(theirs, "", &ssh.ClientConfig{
		User: "dev", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(hostKey.PublicKey()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ssh.NewClient(conn, channels, requests), served
}

// Keepalives are no activity; data in either direction is.
func TestASilentConnectionIsEnded(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits auth.Limits
		types  bool // the person types
		lasts  time.Duration
		why    string
	}{
		{"silent", auth.Limits{Idle: time.Hour}, false, time.Hour, "nothing was sent for 1h0m0s, as long as it may be idle"},
		{"typing, in all", auth.Limits{Idle: time.Hour, Total: 5 * time.Hour}, true, 5 * time.Hour, "it has lasted 5h0m0s, as long as it may"},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, served := inBubble(t, tt.limits, newFakeMachine(waits))
			s, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			var stderr safeBuffer
			s.Stderr = &stderr
			in, err := s.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Start("x"); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			go func() {
				for tt.types {
					time.Sleep(50 * time.Minute)
					if _, err := io.WriteString(in, "x"); err != nil {
						return
					}
				}
			}()
			<-served
			if took := time.Since(began).Round(time.Minute); took != tt.lasts {
				t.Errorf("%s: it lasted %v, want %v", tt.name, took, tt.lasts)
			}
			s.Wait() // before the close, which drops unread data
			client.Close()
			if want := "berth: this connection was ended: " + tt.why + "\n"; stderr.String() != want {
				t.Errorf("%s: told %q, want %q", tt.name, stderr.String(), want)
			}
			time.Sleep(time.Hour) // a person who types notices by then
		})
	}
}
