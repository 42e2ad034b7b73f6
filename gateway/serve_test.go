package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// echoes writes its command, then copies its input, and ends with status 3.
func echoes(command machine.Command, in io.Reader, out, err io.Writer) int {
	fmt.Fprintf(out, "ran %s;", command.Line)
	io.WriteString(err, "with a warning")
	return 3
}

func TestAMachineIsServed(t *testing.T) {
	env := make(chan []string, 1)
	m := newFakeMachine(func(command machine.Command, in io.Reader, out, err io.Writer) int {
		env <- command.Env
		return echoes(command, in, out, err)
	})
	from := atMachine(m)
	g := startGateway(t, from)
	client := g.enter(t, "dev+lab")
	if got, want := runs(t, client, "make"), (said{"ran make;", "with a warning", 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	has := <-env
	for _, name := range []string{labels.EnvUser + "=dev", "SSH_CONNECTION=127.0.0.1 ", "SSH_CLIENT=127.0.0.1 "} {
		if !slices.ContainsFunc(has, func(v string) bool { return strings.HasPrefix(v, name) }) {
			t.Errorf("no %q in %q", name, has)
		}
	}
	client.Close()
	within(t, "the machine is given up", m.closed)
	if want := []string{"developer@lab"}; !slices.Equal(from.opened, want) {
		t.Errorf("opened %q, want %q", from.opened, want)
	}
}

func TestAGrantWithoutAnAccountEntersAsTheHostsOwn(t *testing.T) {
	from := atMachine(newFakeMachine(echoes))
	g := startGateway(t, from)
	runs(t, g.enter(t, "dev+more"), "true")
	from.mu.Lock()
	defer from.mu.Unlock()
	if want := []string{"own@more"}; !slices.Equal(from.opened, want) {
		t.Errorf("opened %q, want %q", from.opened, want)
	}
}

func TestAMachineThatGoesTellsItsSessions(t *testing.T) {
	m := newFakeMachine(nil)
	m.loses = true
	m.run = func(_ machine.Command, _ io.Reader, out, _ io.Writer) int {
		io.WriteString(out, "half")
		close(m.done)
		return 0
	}
	g := startGateway(t, atMachine(m))
	want := said{"half", "berth: host \"lab\" has gone away\n", 255}
	if got := runs(t, g.enter(t, "dev+lab"), "x"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// sshdOf returns hosts with one host, an sshd. Once the gateway is started, the sshd
// trusts its user CA.
func sshdOf(t *testing.T, sshd *fakeSshd, change func(*hosts.Sshd)) *fakeHosts {
	sshd.t, sshd.hostKey = t, newSigner(t)
	return &fakeHosts{
		lookup: func(name string) (hosts.Host, error) {
			return hosts.Host{Name: name, Route: labels.RouteSshd, Account: "own"}, nil
		},
		open: func(host hosts.Host, _ string) (hosts.Entrance, error) {
			to := &hosts.Sshd{Conn: sshd.dial(), Host: host.Name, HostKeys: []ssh.PublicKey{sshd.hostKey.PublicKey()}}
			if change != nil {
				change(to)
			}
			return hosts.Entrance{Sshd: to}, nil
		},
	}
}

// runsCommands serves sessions whose commands end with status 4.
func runsCommands(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		channel, requests, err := asked.Accept()
		if err != nil {
			continue
		}
		go func() {
			for request := range requests {
				request.Reply(true, nil)
				switch request.Type {
				case "env":
					fmt.Fprintf(channel, "%q ", request.Payload[4:])
				case machine.Exec:
					fmt.Fprintf(channel, "%s as %s", request.Payload[4:], conn.User())
					exitWith(channel, 4)
				}
			}
		}()
	}
}

// The container trusts the gateway's certificates, each for one account and one
// person.
func TestAnSshdIsJoinedByACertificate(t *testing.T) {
	sshd := &fakeSshd{serve: runsCommands}
	from := sshdOf(t, sshd, nil)
	g := startGateway(t, from)
	sshd.accept = func(meta ssh.ConnMetadata, key ssh.PublicKey) error {
		certificate, ok := key.(*ssh.Certificate)
		if !ok || certificate.KeyId != "dev" || !bytes.Equal(certificate.SignatureKey.Marshal(), g.userCA.PublicKey().Marshal()) {
			return errors.New("no certificate of the gateway's")
		}
		return (&ssh.CertChecker{}).CheckCert(meta.User(), certificate)
	}
	got := runs(t, g.enter(t, "dev+lab"), "make")
	if !strings.Contains(got.out, "make as developer") || !strings.Contains(got.out, labels.EnvUser) || got.status != 4 {
		t.Errorf("got %+v", got)
	}
}

func TestAnSshdElsewhereIsJoinedByItsOwnKey(t *testing.T) {
	key := newSigner(t)
	sshd := &fakeSshd{serve: runsCommands, accept: func(_ ssh.ConnMetadata, shown ssh.PublicKey) error {
		if !bytes.Equal(shown.Marshal(), key.PublicKey().Marshal()) {
			return errors.New("another key")
		}
		return nil
	}}
	g := startGateway(t, sshdOf(t, sshd, func(to *hosts.Sshd) { to.Key = key }))
	if got := runs(t, g.enter(t, "dev+lab"), "make"); got.status != 4 {
		t.Errorf("got %+v", got)
	}
}

// Another container that has got the address gets no login, no agent and no byte.
func TestAnSshdWithAnotherHostKeyIsRefused(t *testing.T) {
	sshd := &fakeSshd{serve: runsCommands, accept: func(ssh.ConnMetadata, ssh.PublicKey) error {
		t.Error("somebody logged in to it")
		return nil
	}}
	g := startGateway(t, sshdOf(t, sshd, func(to *hosts.Sshd) { to.HostKeys = []ssh.PublicKey{newSigner(t).PublicKey()} }))
	got := runs(t, g.enter(t, "dev+lab"), "make")
	if got.status != 255 || !strings.Contains(got.err, "shows another host key") {
		t.Errorf("got %+v", got)
	}
}

func TestAnSshdThatDoesNotTrustTheGatewaySaysSo(t *testing.T) {
	sshd := &fakeSshd{serve: runsCommands, accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return errors.New("no") }}
	g := startGateway(t, sshdOf(t, sshd, nil))
	got := runs(t, g.enter(t, "dev+lab"), "make")
	if got.status != 255 || !strings.Contains(got.err, "does not let the gateway in as developer") {
		t.Errorf("got %+v", got)
	}
}

func TestAnAccountThatIsNotThereIsSaidSo(t *testing.T) {
	sshd := &fakeSshd{serve: runsCommands, accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return errors.New("no") }}
	g := startGateway(t, sshdOf(t, sshd, func(to *hosts.Sshd) {
		to.WhyNot = func(context.Context) string { return "has no account developer" }
	}))
	want := said{err: "berth: host \"lab\" has no account developer\n", status: 255}
	if got := runs(t, g.enter(t, "dev+lab"), "make"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A panic in one person's connection affects no other.
func TestAPanicEndsItsConnectionAlone(t *testing.T) {
	from := atMachine(newFakeMachine(echoes))
	g := startGateway(t, from)
	calm := g.enter(t, "dev+lab")
	runs(t, calm, "x")
	from.mu.Lock()
	from.lookup = func(string) (hosts.Host, error) { panic("for a test") }
	from.mu.Unlock()
	struck := g.enter(t, "dev+lab")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		struck.Wait()
	}()
	within(t, "the connection is cut", gone)
	if got := runs(t, calm, "y"); got.status != 3 {
		t.Errorf("the other connection: %+v", got)
	}
	harness.Eventually(t, "the log tells", func() bool { return strings.Contains(g.log.String(), "msg=panic") })
}

func TestServeLetsConnectionsGoOnForTheDrainAndSaysWhyTheyEnd(t *testing.T) {
	m := newFakeMachine(waits)
	g := startGateway(t, atMachine(m), func(s *Server) { s.Drain = 200 * time.Millisecond })
	client := g.enter(t, "dev+lab")
	s, out, stderr := startWaiting(t, client)
	began := time.Now()
	g.stop()
	got := ended(t, client, s, out, stderr)
	if want := (said{"ready\n", "berth: this connection was ended: the gateway is stopping\n", 255}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	within(t, "Serve returns", g.stopped)
	if took := time.Since(began); took < g.Drain {
		t.Errorf("after %v: the connection had no time", took)
	}
	if _, err := net.Dial("tcp", g.address); err == nil {
		t.Error("it still listens")
	}
}

// The attack: a user logs in and then reads nothing, not even the reason why the
// connection ends.
func TestServeReturnsWhateverItsClientsDo(t *testing.T) {
	from, stuck := atMachine(newFakeMachine(waits)), make(chan struct{})
	defer close(stuck)
	from.lookup = func(string) (hosts.Host, error) {
		<-stuck
		return hosts.Host{}, errors.New("stuck")
	}
	g := startGateway(t, from)
	g.Drain = 100 * time.Millisecond
	g.enter(t, "dev+lab")
	stranger, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	harness.Eventually(t, "the host is being asked for", func() bool { return len(g.Live()) == 1 })
	g.stop()
	within(t, "Serve returns", g.stopped)
}

// A client that connects while the gateway stops gets a message that clients show.
func TestWhoConnectsDuringTheDrainIsToldSo(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	g.Drain = time.Minute
	client := g.enter(t, "dev+lab")
	startWaiting(t, client)
	g.stop()
	harness.Eventually(t, "it stops", func() bool {
		client, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.dev))
		if err == nil {
			client.Close()
		}
		return err != nil
	})
	for range 5 {
		_, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.dev))
		if err == nil || !strings.Contains(err.Error(), "the gateway is stopping; try again in a moment") {
			t.Errorf("it sees: %v", err)
		}
	}
	if _, _, err := client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("who was there before: %v", err)
	}
	client.Close()
	within(t, "Serve returns with its last connection", g.stopped)
}

// startWaiting starts a command and returns once that runs; the command then waits.
func startWaiting(t *testing.T, client *ssh.Client) (s *ssh.Session, out, stderr *safeBuffer) {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, stderr = &safeBuffer{}, &safeBuffer{}
	ready := make(chan struct{})
	s.Stdout, s.Stderr = &announcing{to: out, ready: ready}, stderr
	if _, err := s.StdinPipe(); err != nil { // keeps the input open
		t.Fatal(err)
	}
	if err := s.Start("wait"); err != nil {
		t.Fatal(err)
	}
	within(t, "the command runs", ready)
	return s, out, stderr
}

// announcing closes a channel at the first write.
type announcing struct {
	to    io.Writer
	ready chan struct{}
	once  sync.Once
}

func (a *announcing) Write(p []byte) (int, error) {
	defer a.once.Do(func() { close(a.ready) })
	return a.to.Write(p)
}
