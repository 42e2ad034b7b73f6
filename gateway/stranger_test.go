package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/patches"
	"github.com/berth-ssh/berth/strangers"
	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/peer"

	"golang.org/x/crypto/ssh"
)

// comeFrom connects to the gateway from an address of this machine, and returns when
// the connection is served.
func (g *testGateway) comeFrom(t *testing.T, ip string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	conn, err := dialer.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.ReadFull(conn, make([]byte, len(version+"\r\n"))); err != nil {
		t.Fatal(err)
	}
	return conn
}

// The attack: 300 connections from six addresses that never log in. Without limits,
// ten of ten logins from elsewhere were refused, and neighbours behind the same NAT
// for a minute.
func TestIdleStrangersKeepNobodyOut(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	var idle []net.Conn
	for i := range 300 {
		idle = append(idle, g.comeFrom(t, fmt.Sprintf("127.0.0.%d", 1+i%6)))
	}
	for i := range 10 {
		began := time.Now()
		client, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.dev)) // from 127.0.0.1, one of the six
		if err != nil {
			t.Fatalf("login %d: %v", i, err)
		}
		client.Close()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("login %d: after %v", i, took)
		}
	}
	told := 0
	for _, conn := range idle {
		conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		said, _ := io.ReadAll(conn)
		if strings.Contains(string(said), "berth: too many connections that are not logged in; try again in a moment") {
			told++
		}
	}
	// Each login takes one more place, unless that of the one before is already free.
	if least := 300 - 200 + 1; told < least || told > least+9 {
		t.Errorf("%d of those who lost their place were told why, want %d to %d", told, least, least+9)
	}
}

// A source has one stranger more than it may have. The new one is let in, and another
// one loses its place, here while its password waits to be checked. A banner tells it
// why.
func TestWhoLosesItsPlaceAfterItsKeyExchangeIsToldWhy(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	asked, answer, banners := make(chan struct{}), make(chan struct{}), make([]string, 50)
	var in, out atomic.Int32
	var all sync.WaitGroup
	for i := range banners {
		all.Go(func() {
			password := ssh.PasswordCallback(func() (string, error) {
				asked <- struct{}{}
				<-answer
				return "secret", nil
			})
			client, err := g.dial("dev+lab", &banners[i], password)
			if err != nil {
				out.Add(1)
				return
			}
			in.Add(1)
			client.Close()
		})
		within(t, "the stranger is asked for a password", asked)
	}
	g.begin.Do(g.open)
	busy, err := g.door.Enter(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Leave()
	free := takeAll(t, busy)
	close(answer)
	harness.Eventually(t, "all passwords wait", func() bool { return waitForTurns() == len(banners) })
	g.comeFrom(t, "127.0.0.1")
	harness.Eventually(t, "one loses its place", func() bool { return out.Load() == 1 })
	free()
	all.Wait()
	told, want := strings.Join(banners, ""), "berth: too many connections that are not logged in; try again in a moment\n"
	if in.Load() != 49 || told != want {
		t.Errorf("%d of 50 come in, and the others are told %q, want %q for one", in.Load(), told, want)
	}
}

// The attack: 400 passwords, 24 in a second, from one address. Without penalties
// nothing slowed them down.
func TestPasswordsOfOneSourceAreSlowedDown(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	end := time.Now().Add(3 * time.Second)
	var all sync.WaitGroup
	var mu sync.Mutex
	banners := ""
	for range 16 {
		all.Go(func() {
			for time.Now().Before(end) {
				banner := g.failUntil(t, end)
				mu.Lock()
				banners += banner
				mu.Unlock()
			}
		})
	}
	all.Wait()
	tried := strings.Count(g.log.String(), `msg="attempt failed"`)
	if tried > 40 || !strings.Contains(banners, "berth: too many wrong passwords from your address lately: wait ") {
		t.Errorf("%d passwords were tried at once; said: %s", tried, banners)
	}
	penalties := g.Penalties()
	if len(penalties) != 1 || penalties[0].Source.String() != "127.0.0.1/32" || penalties[0].Gap == 0 || !strings.Contains(g.log.String(), "penalty") {
		t.Errorf("penalties: %+v", penalties)
	}
	client, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.dev))
	if err != nil {
		t.Fatalf("the right key: %v", err)
	}
	client.Close()
	if _, err := g.dial("other+vault", nil, ssh.Password("wrong")); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("another user of the address has no try: %v", err)
	}
	g.LogStrangers()
	if !strings.Contains(g.log.String(), "penalties=1") {
		t.Error("LogStrangers does not tell")
	}
}

// failUntil tries wrong passwords on one connection, and returns the banner that the
// gateway shows meanwhile.
func (g *testGateway) failUntil(t *testing.T, end time.Time) (banner string) {
	t.Helper()
	raw, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer raw.Close()
	raw.SetDeadline(end)
	wrong := ssh.PasswordCallback(func() (string, error) { return "wrong", nil })
	conn, _, _, err := ssh.NewClientConn(raw, "", &ssh.ClientConfig{
		User: "dev+lab", Auth: []ssh.AuthMethod{ssh.RetryableAuthMethod(wrong, 10)}, HostKeyCallback: ssh.FixedHostKey(g.HostKey.PublicKey()),
		BannerCallback: func(message string) error {
			banner += message
			return nil
		},
	})
	if err == nil {
		conn.Close()
		t.Error("logged in by a wrong password")
	}
	return banner
}

// The attack: Diffie-Hellman in the large groups, which costs the server eighty times
// what it costs the client.
func TestNoDearKeyExchange(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	for _, kex := range []string{ssh.KeyExchangeDH14SHA256, ssh.KeyExchangeDH16SHA512, ssh.InsecureKeyExchangeDH14SHA1, ssh.KeyExchangeDHGEXSHA256} {
		_, err := ssh.Dial("tcp", g.address, &ssh.ClientConfig{
			Config: ssh.Config{KeyExchanges: []string{kex}}, User: "dev", HostKeyCallback: ssh.FixedHostKey(g.HostKey.PublicKey()),
		})
		_, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err)
		if !ok {
			t.Errorf("%s: %v", kex, err)
		}
	}
}

// The attack: exchange keys again and again. x/crypto may compute for a stranger only
// in that stranger's turn.
func TestAKeyExchangeWaitsForItsTurn(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	g.begin.Do(g.open)
	busy, err := g.door.Enter(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Leave()
	free := takeAll(t, busy)
	loggedIn := make(chan error, 1)
	go func() {
		client, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.dev))
		if err == nil {
			client.Close()
		}
		loggedIn <- err
	}()
	harness.Eventually(t, "it is a stranger", func() bool { inside, _ := g.door.Inside(); return inside == 2 })
	select {
	case err := <-loggedIn:
		t.Errorf("logged in without a turn: %v", err)
	case <-time.After(300 * time.Millisecond): // longer than a login takes
	}
	free()
	if err := <-loggedIn; err != nil {
		t.Error(err)
	}
}

// The attack: log in, or run an sshd behind the gateway, and exchange keys again and
// again. This waits for turns as strangers do, and makes nobody else wait.
func TestWhoExchangesKeysAgainWaitsForItsTurn(t *testing.T) {
	if !patches.Applied() {
		t.Skip("x/crypto is not patched, and asks for no turn: GOFLAGS=$(scripts/goflags) go test")
	}
	often := ssh.Config{RekeyThreshold: 1} // the smallest possible, 256 bytes
	atSshd := func(change func(*ssh.ServerConfig)) *fakeHosts {
		return sshdOf(t, &fakeSshd{accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil }, serve: runsCommands, change: change}, nil)
	}
	for name, attack := range map[string]struct {
		from   *fakeHosts
		client ssh.Config
	}{
		"a client":      {atMachine(newFakeMachine(echoes)), often},
		"a host's sshd": {atSshd(func(config *ssh.ServerConfig) { config.RekeyThreshold = 1 }), ssh.Config{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, attack.from)
			enter := func(config ssh.Config) *ssh.Client {
				client, err := ssh.Dial("tcp", g.address, &ssh.ClientConfig{
					Config: config, User: "dev+lab", Auth: []ssh.AuthMethod{ssh.PublicKeys(g.dev)}, HostKeyCallback: ssh.FixedHostKey(g.HostKey.PublicKey()),
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { client.Close() })
				runs(t, client, "a")
				return client
			}
			attacker, other := enter(attack.client), enter(ssh.Config{})
			busy, err := g.door.Enter(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, func(error) {})
			if err != nil {
				t.Fatal(err)
			}
			defer busy.Leave()
			free := takeAll(t, busy)
			ran := make(chan struct{})
			go func() {
				defer close(ran)
				for range 10 {
					runs(t, attacker, strings.Repeat("x", 1000))
				}
			}()
			if name == "a client" {
				for range 10 {
					runs(t, other, strings.Repeat("x", 1000))
				}
			}
			select {
			case <-ran:
				t.Error("keys are exchanged without a turn")
			case <-time.After(300 * time.Millisecond): // longer than ten of them take
			}
			free()
			within(t, "the attacker's turns come", ran)
		})
	}
}

// The attack: send packets after a password, so that x/crypto stops reading until the
// password is checked. If this connection held a turn meanwhile, everybody would
// stand still.
func TestPacketsBehindAPasswordStopNobody(t *testing.T) {
	if !patches.Applied() {
		t.Skip("x/crypto is not patched, and leaks what this test does to it: GOFLAGS=$(scripts/goflags) go test")
	}
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	for range 2 * runtime.GOMAXPROCS(0) {
		p, err := peer.Dial(g.address)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Conn.Close()
		p.Send(peer.MsgServiceRequest, "ssh-userauth")
		for range 40 {
			p.Try("dev+lab", "wrong")
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	client, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.dev))
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

// takeAll takes all turns that there are.
func takeAll(t *testing.T, s *strangers.Stranger) (free func()) {
	t.Helper()
	var taken []func()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		done, err := s.Turn(ctx, "")
		cancel()
		if err != nil {
			break
		}
		taken = append(taken, done)
	}
	return func() {
		for _, done := range taken {
			done()
		}
	}
}

// waitForTurns returns how many strangers of this process wait for a turn.
func waitForTurns() int {
	stacks := make([]byte, 16<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), ".(*Stranger).Turn(")
}

// The attack: many key exchanges with prepared messages, broken off at any point, by
// the client or because the place is given to another. Every turn must come back.
func TestTurnsOfExchangesThatBreakOffComeBack(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	messages, err := peer.ReadyMade(ssh.KeyExchangeCurve25519)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for worker := range 60 { // more than there are places
		all.Go(func() {
			for i := range 150 {
				raw, err := net.Dial("tcp", g.address)
				if err != nil {
					t.Error(err)
					return
				}
				raw.(*net.TCPConn).SetLinger(0)
				raw.SetDeadline(time.Now().Add(harness.Patience))
				if i%2 == 0 {
					peer.SendReadyMade(raw, messages)
				} else {
					raw.Write(messages[:len(messages)-(worker*500+i)%len(messages)])
					raw.Read(make([]byte, 1+i))
				}
				raw.Close()
			}
		})
	}
	all.Wait()
	harness.Eventually(t, "they are gone", func() bool { inside, _ := g.door.Inside(); return inside == 0 })
	client, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.dev))
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}
