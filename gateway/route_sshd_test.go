package gateway

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"
	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
)

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Another container that has got the address does not have the key.
func TestOnlyThePinnedHostKeyIsAccepted(t *testing.T) {
	known, other := newSigner(t).PublicKey(), newSigner(t).PublicKey()
	check := pinned([]ssh.PublicKey{known})
	if err := check("", nil, known); err != nil {
		t.Errorf("the pinned key: %v", err)
	}
	if err := check("", nil, other); !errors.Is(err, errHostKey) {
		t.Errorf("another key: %v", err)
	}
	if err := pinned(nil)("", nil, known); err == nil {
		t.Error("a host without pinned keys was believed")
	}
}

// relayed returns a client of a server behind the relay. The server calls serve for
// each session.
func relayed(t *testing.T, serve func(ssh.Channel, <-chan *ssh.Request)) *ssh.Client {
	t.Helper()
	return ssh.NewClient(joinedTo(t, func(asked ssh.NewChannel) {
		if channel, requests, err := asked.Accept(); err == nil {
			go serve(channel, requests)
		}
	}, nil))
}

// joinedTo returns a connection through the relay to a host. The host calls hello, if
// it is not nil, when it is connected, and open for each channel.
func joinedTo(t *testing.T, open func(ssh.NewChannel), hello func(*ssh.ServerConn)) (ssh.Conn, <-chan ssh.NewChannel, <-chan *ssh.Request) {
	t.Helper()
	hostOuter, hostInner := tcpPair(t)
	clientOuter, clientInner := tcpPair(t)
	tasks := &sshconn.Tasks{Panicked: func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) }}
	go serveHost(t, hostInner, open, hello)
	tasks.Go(func() { relayBetween(t, clientInner, hostOuter, tasks) })
	conn, channels, requests, err := ssh.NewClientConn(clientOuter, "", &ssh.ClientConfig{
		User: "dev", HostKeyCallback: ssh.InsecureIgnoreHostKey(), ClientVersion: "SSH-2.0-OpenSSH_test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		tasks.Wait()
	})
	return conn, channels, requests
}

func serveHost(t *testing.T, raw net.Conn, open func(ssh.NewChannel), hello func(*ssh.ServerConn)) {
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(newSigner(t))
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	if hello != nil {
		hello(conn)
	}
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		open(asked)
	}
}

func relayBetween(t *testing.T, clientRaw, hostRaw net.Conn, tasks *sshconn.Tasks) {
	outerWire, innerWire := new(wire.Pool).New(clientRaw), new(wire.Pool).New(hostRaw)
	defer outerWire.Close()
	defer innerWire.Close()
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(newSigner(t))
	outer, outerChannels, outerRequests, err := ssh.NewServerConn(outerWire, config)
	if err != nil {
		return
	}
	inner, innerChannels, innerRequests, err := ssh.NewClientConn(innerWire, "", &ssh.ClientConfig{
		User: "dev", HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return
	}
	relay(
		end{Conn: sshconn.Conn{Conn: outer, Channels: outerChannels, Requests: outerRequests}, wire: outerWire},
		end{Conn: sshconn.Conn{Conn: inner, Channels: innerChannels, Requests: innerRequests}, wire: innerWire},
		tasks, target{person: "anna"}, func() string { return "the host is gone" })
}

func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func acceptRequests(requests <-chan *ssh.Request) {
	for request := range requests {
		request.Reply(true, nil)
	}
}

func exitWith(channel ssh.Channel, status int) {
	exit := sshconn.ExitStatus(status)
	channel.SendRequest(exit.Request, false, exit.Payload)
	channel.Close()
}

// A typical proxy closes stdout for both streams when the first one ends, and loses
// the rest of stderr.
func TestTheRelayKeepsAllOfStderrAndTheStatus(t *testing.T) {
	const size = 3 << 20
	client := relayed(t, func(channel ssh.Channel, requests <-chan *ssh.Request) {
		go acceptRequests(requests)
		channel.Stderr().Write(make([]byte, size))
		exitWith(channel, 7)
	})
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := s.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("x"); err != nil {
		t.Fatal(err)
	}
	got := 0
	for buf := make([]byte, 64<<10); ; {
		n, err := stderr.Read(buf)
		got += n
		if err != nil {
			break
		}
		if got%(1<<20) < n {
			time.Sleep(20 * time.Millisecond) // a slow reader
		}
	}
	err = s.Wait()
	var exit *ssh.ExitError
	if got != size || !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		t.Errorf("%d of %d bytes, %v", got, size, err)
	}
}

// PuTTY measures the round trip by requests that fail, and counts the failures.
func TestTheRelayAnswersRequestsInOrder(t *testing.T) {
	client := relayed(t, func(channel ssh.Channel, requests <-chan *ssh.Request) {
		<-requests // the variable with the person's name
		for i := 0; ; i++ {
			request, ok := <-requests
			if !ok {
				return
			}
			request.Reply(i%2 == 0, nil)
		}
	})
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	for i := range 100 {
		ok, err := channel.SendRequest(fmt.Sprintf("winadj-%d@example.com", i), true, nil)
		if err != nil || ok != (i%2 == 0) {
			t.Fatalf("request %d: %v, %v", i, ok, err)
		}
	}
	channel.Close()
}

// A session in which nothing was started has nothing to deliver.
func TestAHostThatIsGoneEndsAnIdleSession(t *testing.T) {
	client := relayed(t, func(channel ssh.Channel, requests <-chan *ssh.Request) {
		<-requests // the variable with the person's name
		channel.Close()
	})
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ssh.DiscardRequests(requests)
		io.Copy(io.Discard, channel)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the session goes on")
	}
}

// When a client closes one of its sessions, the host must end it, too.
func TestTheHostIsToldThatAChannelIsClosed(t *testing.T) {
	told := make(chan struct{})
	client := relayed(t, func(channel ssh.Channel, requests <-chan *ssh.Request) {
		ssh.DiscardRequests(requests)
		close(told)
	})
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	channel.Close()
	select {
	case <-told:
	case <-time.After(5 * time.Second):
		t.Error("the host was not told")
	}
}

func refuseAll(asked ssh.NewChannel) { asked.Reject(ssh.Prohibited, "not from here") }

// If the host's sshd could announce its keys, the client would store them under the
// gateway's name.
func TestTheHostsOwnKeysStayInside(t *testing.T) {
	_, _, requests := joinedTo(t, refuseAll, func(host *ssh.ServerConn) {
		host.SendRequest("hostkeys-00@openssh.com", false, nil)
		host.SendRequest("other@example.com", false, nil)
	})
	if request := <-requests; request.Type != "other@example.com" {
		t.Errorf("the client got %q", request.Type)
	}
	go ssh.DiscardRequests(requests)
}

func TestWhatTheHostRefusesIsRefusedWithItsReason(t *testing.T) {
	client := ssh.NewClient(joinedTo(t, refuseAll, nil))
	_, _, err := client.OpenChannel("direct-tcpip", []byte(strings.Repeat("x", 10)))
	refused, ok := errors.AsType[*ssh.OpenChannelError](err)
	if !ok || refused.Reason != ssh.Prohibited || refused.Message != "not from here" {
		t.Errorf("got %v", err)
	}
}

// A client that opens channels without end reaches only its own limit.
func TestAConnectionHasSoManyChannelsAtMost(t *testing.T) {
	client := ssh.NewClient(joinedTo(t, func(asked ssh.NewChannel) {
		if channel, requests, err := asked.Accept(); err == nil {
			go func() {
				ssh.DiscardRequests(requests)
				channel.Close()
			}()
		}
	}, nil))
	open := func() (ssh.Channel, error) {
		channel, requests, err := client.OpenChannel("direct-tcpip", nil)
		if err == nil {
			go ssh.DiscardRequests(requests)
		}
		return channel, err
	}
	var last ssh.Channel
	for i := range sshconn.MaxChannels {
		channel, err := open()
		if err != nil {
			t.Fatalf("channel %d: %v", i+1, err)
		}
		last = channel
	}
	var refused *ssh.OpenChannelError
	if _, err := open(); !errors.As(err, &refused) || refused.Reason != ssh.ResourceShortage {
		t.Errorf("one more: %v", err)
	}
	last.Close()
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err := open(); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("none is free again")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// An sshd asks for a sign of life on an open channel, and hangs up if none comes.
// That request is passed to the client, which has to answer it.
func TestTheHostsQuestionOnAChannelReachesTheClient(t *testing.T) {
	answered := make(chan error, 1)
	client := relayed(t, func(channel ssh.Channel, requests <-chan *ssh.Request) {
		go acceptRequests(requests)
		_, err := channel.SendRequest("keepalive@openssh.com", true, nil)
		answered <- err
		exitWith(channel, 0)
	})
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	if request := <-requests; request.Type != "keepalive@openssh.com" || !request.WantReply {
		t.Errorf("the client got %+v", request)
	} else {
		request.Reply(false, nil)
	}
	if err := <-answered; err != nil {
		t.Errorf("the host got %v", err)
	}
	go ssh.DiscardRequests(requests)
}

// A keepalive of the host's connection is about this connection only, so the gateway
// answers it.
func TestTheHostsKeepaliveIsAnsweredByTheGateway(t *testing.T) {
	answered := make(chan error, 1)
	_, _, requests := joinedTo(t, refuseAll, func(host *ssh.ServerConn) {
		go func() {
			_, _, err := host.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
			host.SendRequest("other@example.com", false, nil)
		}()
	})
	if request := <-requests; request.Type != "other@example.com" {
		t.Errorf("the client got %q", request.Type)
	}
	go ssh.DiscardRequests(requests)
	if err := <-answered; err != nil {
		t.Errorf("the host got %v", err)
	}
}

// The attack: dev sends BERTH_USER\0, which sshd reads as BERTH_USER, so that
// programs in the session take dev for somebody else.
func TestNobodyForgesWhomASessionIsFor(t *testing.T) {
	heard := make(chan string, 16)
	sshd := &fakeSshd{accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil }}
	sshd.serve = func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		for asked := range channels {
			channel, requests, err := asked.Accept()
			if err != nil {
				return
			}
			for request := range requests {
				var env sshconn.EnvRequest
				if request.Type == "env" && ssh.Unmarshal(request.Payload, &env) == nil {
					heard <- env.Name + "=" + env.Value
				}
				sshconn.Reply(request, true, nil)
				if request.Type == machine.Exec {
					exitWith(channel, 0)
				}
			}
		}
	}
	g := startGateway(t, sshdOf(t, sshd, nil))
	s, err := g.enter(t, "dev+lab").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for _, forged := range []sshconn.EnvRequest{
		{Name: "BERTH_USER", Value: "root"}, {Name: "BERTH_USER\x00", Value: "root"}, {Name: "LANG", Value: "C\nBERTH_USER=root"}, {Name: "LC_/../x", Value: "x"},
	} {
		if ok, err := s.SendRequest("env", true, ssh.Marshal(forged)); ok || err != nil {
			t.Errorf("%q is accepted: %v, %v", forged, ok, err)
		}
	}
	if err := s.Setenv("EDITOR", "vi"); err != nil { // the host's sshd decides on other names
		t.Error(err)
	}
	if err := s.Run("true"); err != nil {
		t.Error(err)
	}
	close(heard)
	var got []string
	for env := range heard {
		got = append(got, env)
	}
	if want := []string{labels.EnvUser + "=dev", "EDITOR=vi"}; !slices.Equal(got, want) {
		t.Errorf("the host hears %q, want %q", got, want)
	}
}

// The host reports the end of a process before it answers the signal that ended it.
func TestARelayedSignalIsAnsweredBeforeItsEnd(t *testing.T) {
	told := make(chan struct{})
	sshd := &fakeSshd{accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil }}
	sshd.serve = func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		channel, sessions, err := (<-channels).Accept()
		if err != nil {
			return
		}
		for request := range sessions {
			if request.Type == "signal" {
				channel.CloseWrite()
				channel.SendRequest("exit-signal", false, sshconn.ExitSignal("TERM", false).Payload)
				select {
				case <-told:
				case <-time.After(300 * time.Millisecond): // time for the client to learn it, which it must not
				}
			}
			sshconn.Reply(request, true, nil)
			if request.Type == "signal" {
				channel.Close()
			}
		}
	}
	g := startGateway(t, sshdOf(t, sshd, nil))
	s, err := g.enter(t, "dev+lab").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("sleep 60"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		err := s.Wait()
		close(told)
		ended <- err
	}()
	if ok, err := s.SendRequest("signal", true, ssh.Marshal(sshconn.SignalRequest{Name: "TERM"})); !ok || err != nil {
		t.Errorf("the answer: %v, %v", ok, err)
	}
	if exit := (*ssh.ExitError)(nil); !errors.As(<-ended, &exit) || exit.Signal() != "TERM" {
		t.Errorf("the end: %v", exit)
	}
}
