package gateway

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// waits is a command that runs until its input ends or its streams are closed.
func waits(_ machine.Command, in io.Reader, out, _ io.Writer) int {
	io.WriteString(out, "ready\n")
	io.Copy(io.Discard, in)
	return 0
}

func TestLiveConnectionsSayWhoIsWhere(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	if live := g.Live(); len(live) != 0 {
		t.Fatalf("at first: %+v", live)
	}
	began := time.Now()
	client := g.enter(t, "dev+lab")
	startWaiting(t, client)
	live := g.Live()
	if len(live) != 1 {
		t.Fatalf("live: %+v", live)
	}
	got := live[0]
	if got.Since.Before(began) || got.Since.After(time.Now()) || got.Up == 0 || got.Down == 0 || got.ID == "" {
		t.Errorf("got %+v", got)
	}
	want := Live{
		ID: got.ID, Since: got.Since, Up: got.Up, Down: got.Down,
		Identity: auth.Identity{
			User: "dev", Login: auth.Login{User: "dev", Host: "lab"},
			Method: auth.ByPublicKey, Credential: ssh.FingerprintSHA256(g.dev.PublicKey()), From: netip.MustParseAddr("127.0.0.1"),
		},
		Remote: client.LocalAddr().String(), ClientVersion: "SSH-2.0-OpenSSH_test",
		Host: "lab", Account: "developer", Route: "exec", Container: "0123456789abcdef",
		Idle: got.Idle, Sessions: 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !strings.Contains(g.log.String(), "conn="+got.ID) {
		t.Error("the log calls it something else")
	}
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if later := g.Live()[0]; later.Up <= got.Up {
		t.Errorf("%d bytes up, and %d after more of them", got.Up, later.Up)
	}
	client.Close()
	harness.Eventually(t, "it is forgotten", func() bool { return len(g.Live()) == 0 })
}

func TestLiveConnectionsAreListedByAge(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	for range 5 {
		runs(t, g.enter(t, "dev+lab"), "x")
	}
	live := g.Live()
	for i := range live[1:] {
		if live[i+1].Since.Before(live[i].Since) {
			t.Errorf("%v comes after %v", live[i+1].Since, live[i].Since)
		}
	}
	if len(live) != 5 {
		t.Errorf("%d of 5", len(live))
	}
}

// endedWith ends the only live connection, which has a running session, and returns
// the session's result.
func endedWith(t *testing.T, g *testGateway, client *ssh.Client) said {
	t.Helper()
	s, out, stderr := startWaiting(t, client)
	bystander := g.enter(t, "dev+lab")
	_, _, calm := startWaiting(t, bystander)
	if !g.End(g.Live()[0].ID, "the box is needed") {
		t.Fatal("there is no such connection")
	}
	got := ended(t, client, s, out, stderr)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		client.Wait()
	}()
	within(t, "the connection is closed", gone)
	harness.Eventually(t, "it is forgotten", func() bool { return len(g.Live()) == 1 })
	if _, _, err := bystander.SendRequest("keepalive@openssh.com", true, nil); err != nil || calm.String() != "" {
		t.Errorf("another connection: %v, %q", err, calm.String())
	}
	return got
}

func TestWhoIsEndedOnAMachineIsToldWhy(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	got := endedWith(t, g, g.enter(t, "dev+lab"))
	if want := (said{"ready\n", "berth: this connection was ended: the box is needed\n", 255}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWhoIsEndedOnAnSshdIsToldWhy(t *testing.T) {
	sshd := &fakeSshd{accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil }}
	sshd.serve = func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		for asked := range channels {
			if channel, requests, err := asked.Accept(); err == nil {
				go acceptRequests(requests)
				io.WriteString(channel, "ready\n")
			}
		}
	}
	g := startGateway(t, sshdOf(t, sshd, nil))
	got := endedWith(t, g, g.enter(t, "dev+lab"))
	if want := (said{"ready\n", "berth: this connection was ended: the box is needed\n", 255}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWhoIsEndedWhileWaitingForAHostIsToldWhy(t *testing.T) {
	from, tries := waitsFor(newFakeMachine(echoes), 1000, time.Hour)
	g := startGateway(t, from, func(s *Server) { s.Wait = time.Hour })
	client := g.enter(t, "dev+lab")
	harness.Eventually(t, "it waits", func() bool { return tries.Load() > 0 })
	g.End(g.Live()[0].ID, "the box is needed")
	if got, want := runs(t, client, "x"), (said{"", "berth: this connection was ended: the box is needed\n", 255}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A connection with forwards and no session is closed without a text.
func TestAConnectionWithoutSessionsIsClosedWhenItIsEnded(t *testing.T) {
	entered := make(chan struct{})
	from := atMachine(newFakeMachine(echoes))
	from.open = func(hosts.Host, string) (hosts.Entrance, error) {
		defer close(entered)
		return hosts.Entrance{Machine: newFakeMachine(echoes)}, nil
	}
	g := startGateway(t, from)
	client := g.enter(t, "dev+lab")
	within(t, "it has entered", entered)
	g.End(g.Live()[0].ID, "the box is needed")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		client.Wait()
	}()
	within(t, "it is closed", gone)
}

func TestOnlyALiveConnectionIsEnded(t *testing.T) {
	g := startGateway(t, &fakeHosts{})
	if g.End("", "x") || g.End("NOSUCHID", "x") {
		t.Error("a connection that is not there was ended")
	}
}

// The attack: keep an ended connection alive by not reading the reason.
func TestWhoDoesNotReadIsCutWhenItWasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flood := newFakeMachine(func(_ machine.Command, _ io.Reader, out, _ io.Writer) int {
			for {
				if _, err := out.Write(make([]byte, 32<<10)); err != nil {
					return 0
				}
			}
		})
		key := newSigner(t)
		policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Keys: []ssh.PublicKey{key.PublicKey()}, Hosts: map[string]auth.Grant{"lab": {}}}})
		if err != nil {
			t.Fatal(err)
		}
		hostKey := newSigner(t)
		s := &Server{HostKeys: HostKeys{Key: hostKey}.Fixed, Keeper: &keeper.Keeper{Policies: auth.NewPolicies(policy), Hosts: atMachine(flood)}, Log: slog.New(slog.DiscardHandler)}
		ours, theirs := net.Pipe()
		served := make(chan struct{})
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
		client := ssh.NewClient(conn, channels, requests)
		channel, opened, err := client.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(opened)
		if ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"flood"})); !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		synctest.Wait() // the window is full
		began := time.Now()
		s.End(s.Live()[0].ID, "the box is needed")
		<-served
		if took := time.Since(began); took > endTimeout+time.Second {
			t.Errorf("cut after %v", took)
		}
		client.Close()
	})
}
