package patches_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness/peer"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

// flood is how many packets x/crypto has no room for.
const flood = 60

// TestUnread: when a connection ends with unread packets, nothing of it stays.
func TestUnread(t *testing.T) {
	needPatched(t)
	t.Run("a stranger asks for nonsense, says much more and is gone", func(t *testing.T) {
		leavesNothing(t, 3000, func(p *peer.Peer) error {
			for range 1 + flood {
				p.Send(peer.MsgServiceRequest, "nonsense")
			}
			return p.Flush()
		})
	})
	t.Run("a user names a channel that is not there, says much more and is gone", func(t *testing.T) {
		leavesNothing(t, 1000, func(p *peer.Peer) error {
			if err := p.Login(user, password); err != nil {
				return err
			}
			for range 1 + flood {
				p.Send(peer.MsgChannelData, peer.UnknownChannel, "x")
			}
			return p.Flush()
		})
	})
	t.Run("a server says much to a client that has given up", strangeServer)
}

// leavesNothing lets peers attack a server, and checks that nothing of them stays.
func leavesNothing(t *testing.T, peers int, attack func(*peer.Peer) error) {
	s := startServer(t)
	peer.Repeat(t, s.address, 100, attack) // for what the server allocates only once
	before := s.settled(t, 4)
	peer.Repeat(t, s.address, peers, attack)
	after := s.settled(t, before.goroutines)
	t.Logf("before: %v; after %d connections: %v", before, peers, after)
	if after.goroutines > before.goroutines {
		t.Errorf("%d goroutines are left behind", after.goroutines-before.goroutines)
	}
	if grown := after.memory - before.memory; grown > 5<<20 {
		t.Errorf("%.1f MiB are left behind", mib(grown))
	}
}

// strangeServer sends many banners to a client that refuses the first one.
func strangeServer(t *testing.T) {
	const banners = 1 + 16 + 1 // one is refused, 16 are buffered, one has no room
	config, err := serverConfig()
	if err != nil {
		t.Fatal(err)
	}
	a, b := tcpPair(t)
	client, server := &counted{Conn: a}, &counted{Conn: b}
	var said atomic.Int64
	config.PreAuthConnCallback = func(client ssh.ServerPreAuthConn) {
		for range banners {
			client.SendAuthBanner("hello")
		}
		said.Store(server.written.Load())
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		ssh.NewServerConn(server, config)
	}()
	_, _, _, err = ssh.NewClientConn(client, "", &ssh.ClientConfig{
		User:            "alice",
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		BannerCallback: func(string) error {
			await(t, func() bool { return said.Load() != 0 && client.read.Load() >= said.Load() })
			return errors.New("no banners")
		},
	})
	if err == nil {
		t.Error("the client has not given up")
	}
	<-served
	goleak.VerifyNone(t)
}

// counted counts the bytes of a connection.
type counted struct {
	net.Conn
	read, written atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// await waits until a condition holds.
func await(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("waited in vain")
			return
		}
	}
}

// tcpPair returns both ends of a connection, which is closed when the test ends.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestUnserved: after closing a connection one need not serve it any more.
func TestUnserved(t *testing.T) {
	needPatched(t)
	for name, fill := range map[string]func(p *peer.Peer, channel int){
		"global requests":  func(p *peer.Peer, _ int) { p.Send(peer.MsgGlobalRequest, "r", false) },
		"channels":         func(p *peer.Peer, _ int) { p.Send(peer.MsgChannelOpen, "c", 0, 1<<20, 1<<15) },
		"channel requests": func(p *peer.Peer, channel int) { p.Send(peer.MsgChannelRequest, channel, "r", false) },
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			closeUnserved(t, fill)
		})
	}
}

// closeUnserved fills a connection that nobody serves, and then lets the server close
// it.
func closeUnserved(t *testing.T, fill func(p *peer.Peer, channel int)) {
	ended := make(chan struct{})
	listener, err := listen(func(client *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		defer close(ended)
		_, channelRequests, err := (<-channels).Accept()
		if err != nil {
			t.Error(err)
		}
		await(t, func() bool { return len(channels) == 16 || len(requests) == 16 || len(channelRequests) == 16 })
		client.Close()
		client.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p, err := peer.Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Login(user, password); err != nil {
		t.Fatal(err)
	}
	channel, _, err := p.OpenSession()
	if err != nil {
		t.Fatal(err)
	}
	for range flood {
		fill(p, channel)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the connection does not end when it is closed")
	}
	p.Outlast()
}

// TestSmallPackets: ten channels that nobody reads cost at most 64 MiB, however small
// the packets are.
func TestSmallPackets(t *testing.T) {
	needPatched(t)
	channels, part := 1, 2 // one, half filled: it takes time
	if os.Getenv("BERTH_SOAK") != "" {
		channels, part = 10, 1
	}
	s := startServer(t)
	p, err := peer.Dial(s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Conn.Close()
	if err := p.Login(user, password); err != nil {
		t.Fatal(err)
	}
	before := s.held(t)
	for range channels {
		if err := fillWindow(p, part); err != nil {
			t.Fatal(err)
		}
	}
	after := s.held(t)
	t.Logf("before: %v; %d channels, 1/%d filled: %v", before, channels, part, after)
	if cost := after.memory - before.memory; cost > 64<<20*channels/part/10 {
		t.Errorf("they cost %.1f MiB", mib(cost))
	}
}

// fillWindow fills a part of a new channel's window, one byte of stdin or stderr at a
// time, and returns when the server has received all of it.
func fillWindow(p *peer.Peer, part int) error {
	channel, window, err := p.OpenSession()
	if err != nil {
		return err
	}
	for range window / part / 2 {
		p.Send(peer.MsgChannelData, channel, "x")
		p.Send(peer.MsgChannelExtended, channel, 1, "x")
		if p.Queued() < 1<<16 {
			continue
		}
		if err := p.Flush(); err != nil {
			return err
		}
	}
	p.Send(peer.MsgGlobalRequest, "are you there", true)
	if err := p.Flush(); err != nil {
		return err
	}
	_, err = p.Receive()
	return err
}

// TestStrangers: clients that have not logged in cost little, however much they send
// while their password is checked.
func TestStrangers(t *testing.T) {
	needPatched(t)
	const strangers, packets, size = 20, 17, 250_000
	s := startServer(t)
	before := s.held(t)
	for range strangers {
		p, err := peer.Dial(s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Conn.Close()
		p.Send(peer.MsgServiceRequest, "ssh-userauth")
		p.Try(user, slowPassword)
		for range packets {
			p.Send(peer.MsgServiceRequest, string(make([]byte, size)))
		}
		p.Flush() // or as much as the server takes
		p.Conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, p.Conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the server takes in all that it is sent")
			break
		}
	}
	after := s.held(t)
	t.Logf("before: %v; with %d strangers: %v", before, strangers, after)
	if cost := (after.memory - before.memory) / strangers; cost > 1<<20 { // without the edit it is more than 4 MiB
		t.Errorf("a stranger costs %.1f MiB", mib(cost))
	}
}

// TestMergedDataIsWhole: data sent in pieces of any size is read unchanged.
func TestMergedDataIsWhole(t *testing.T) {
	const pieces = 2000
	size := func(piece int) int { return 1 + piece*piece*7%1500 }
	got := make(chan []byte, 1)
	listener, err := listen(func(client *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		defer client.Close()
		go ssh.DiscardRequests(requests)
		channel, channelRequests, err := (<-channels).Accept()
		if err != nil {
			t.Error(err)
			return
		}
		go ssh.DiscardRequests(channelRequests)
		all, _ := io.ReadAll(channel)
		got <- all
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{
		User: "alice", Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, requests, err := conn.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	var want []byte
	for piece := range pieces {
		data := make([]byte, size(piece))
		for i := range data {
			data[i] = byte(len(want) + i*i)
		}
		want = append(want, data...)
		if _, err := channel.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	channel.CloseWrite()
	if all := <-got; string(all) != string(want) {
		t.Errorf("%d bytes were sent, and %d others read", len(want), len(all))
	}
}

// TestServiceAgain: a client may request ssh-userauth once before each attempt, and
// no other service.
func TestServiceAgain(t *testing.T) {
	needPatched(t)
	listener, err := listen(serveWell)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, c := range []struct {
		name  string
		again []string // services asked for before the second attempt
		want  []byte
	}{
		{"as paramiko does", []string{"ssh-userauth"}, []byte{peer.MsgServiceAccept, peer.MsgUserAuthFailure, peer.MsgServiceAccept, peer.MsgUserAuthSuccess}},
		{"twice", []string{"ssh-userauth", "ssh-userauth"}, []byte{peer.MsgServiceAccept, peer.MsgUserAuthFailure, peer.MsgServiceAccept}},
		{"another", []string{"ssh-connection"}, []byte{peer.MsgServiceAccept, peer.MsgUserAuthFailure}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := peer.Dial(listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Conn.Close()
			p.Send(peer.MsgServiceRequest, "ssh-userauth")
			p.Try(user, "wrong")
			for _, service := range c.again {
				p.Send(peer.MsgServiceRequest, service)
			}
			p.Try(user, password)
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
			for _, number := range c.want {
				if _, err := p.Expect(number); err != nil {
					t.Fatal(err)
				}
			}
			if len(c.want) < 4 {
				if message, err := p.Receive(); err == nil {
					t.Errorf("the connection goes on with message %d", message[0])
				}
			}
		})
	}
}

// TestWrongSignature: a wrong signature is a failed attempt, which lets nobody in, and
// after which others may be made.
func TestWrongSignature(t *testing.T) {
	needPatched(t)
	config, err := serverConfig()
	if err != nil {
		t.Fatal(err)
	}
	verified := 0
	config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	config.VerifiedPublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey, *ssh.Permissions, string) (*ssh.Permissions, error) {
		verified++
		return nil, nil
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keys []ssh.Signer
		in   bool
	}{{[]ssh.Signer{liar{right}}, false}, {[]ssh.Signer{liar{right}, right}, true}} {
		a, b := tcpPair(t)
		verified = 0
		served := make(chan error)
		go func() {
			_, _, _, err := ssh.NewServerConn(b, config)
			served <- err
		}()
		_, _, _, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{
			User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(c.keys...)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		a.Close()
		if on := <-served; (err == nil) != c.in || (on == nil) != c.in || verified > 0 != c.in {
			t.Errorf("%d keys: client %v, server %v, %d verified", len(c.keys), err, on, verified)
		}
		b.Close()
		if !c.in && !strings.Contains(err.Error(), "unable to authenticate") {
			t.Errorf("the client is not told: %v", err)
		}
	}
}

// liar signs something else.
type liar struct{ ssh.Signer }

func (l liar) Sign(from io.Reader, data []byte) (*ssh.Signature, error) {
	return l.Signer.Sign(from, append(data, 1))
}

// TestTurns: requests, channel opens and answers have the right turns.
func TestTurns(t *testing.T) {
	needPatched(t)
	a, b := tcpPair(t)
	config, err := serverConfig()
	if err != nil {
		t.Fatal(err)
	}
	type numbered interface{ Turn() uint64 }
	type edited interface {
		SendInTurn(name string, payload []byte) (bool, []byte, uint64, error)
		StartChannel(kind string, extra []byte) (func() (ssh.Channel, <-chan *ssh.Request, error), error)
	}
	clients := make(chan ssh.Conn, 1)
	go func() {
		client, channels, requests, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{
			User: "alice", Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			t.Error(err)
			close(clients)
			return
		}
		clients <- client
		go func() {
			for range channels {
			}
		}()
		for request := range requests { // a channel, the answer, a channel
			client.(edited).StartChannel("before", nil)
			request.Reply(true, []byte("said"))
			client.(edited).StartChannel("after", nil)
		}
	}()
	server, channels, requests, err := ssh.NewServerConn(b, config)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, ok := <-clients
	if !ok {
		return
	}
	const pairs = 10 // there is room for 16 of each
	for range pairs {
		client.SendRequest("request", false, nil)
		if _, err := client.(edited).StartChannel("channel", nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(pairs) {
		if turn := any(<-requests).(numbered).Turn(); turn != 2*i {
			t.Errorf("request %d has turn %d", i, turn)
		}
		if turn := (<-channels).(numbered).Turn(); turn != 2*i+1 {
			t.Errorf("channel %d has turn %d", i, turn)
		}
	}
	ok, said, turn, err := server.Conn.(edited).SendInTurn("question", nil)
	if !ok || string(said) != "said" || turn != 2*pairs+1 || err != nil {
		t.Errorf("answered %v %q in turn %d, %v", ok, said, turn, err)
	}
	for _, want := range []struct {
		kind string
		turn uint64
	}{{"before", 2 * pairs}, {"after", 2*pairs + 2}} {
		channel := <-channels
		if turn := channel.(numbered).Turn(); turn != want.turn || channel.ChannelType() != want.kind {
			t.Errorf("%s has turn %d", channel.ChannelType(), turn)
		}
	}
}

// TestIdle: an idle connection holds no buffer, whatever was sent over it.
func TestIdle(t *testing.T) {
	needPatched(t)

	listener, err := listen(echo)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const size, connections = 200_000, 20
	cost := func(connections int) int {
		before := heap()
		for range connections {
			channel, err := dialChannel(t, listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			go channel.Write(make([]byte, size))
			if _, err := io.ReadFull(channel, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		return (heap() - before) / connections
	}
	cost(2) // for what is allocated only once
	each := cost(connections)
	t.Logf("a connection keeps %d bytes", each)
	if each > 50<<10 { // both ends; without the edits more than 150 KiB
		t.Errorf("a connection keeps %d KiB", each>>10)
	}
	await(t, func() bool { return stacksOf("kexLoop") == 0 }) // without the edits one at either end
}

// stacksOf returns how many goroutines are in a function.
func stacksOf(function string) int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "."+function+"(")
}

// echo sends back what arrives on a connection's first channel.
func echo(client *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	go ssh.DiscardRequests(requests)
	if channel, channelRequests, err := (<-channels).Accept(); err == nil {
		go ssh.DiscardRequests(channelRequests)
		io.CopyBuffer(channel, channel, make([]byte, 4<<10)) // its own is larger than what is looked for
	}
	client.Close()
}

// dialChannel opens a channel of a new connection, which ends with the test.
func dialChannel(t *testing.T, address string) (ssh.Channel, error) {
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { client.Close() })
	channel, channelRequests, err := client.OpenChannel("session", nil)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(channelRequests)
	return channel, nil
}

// heap returns how many bytes are reachable.
func heap() int {
	for range 3 { // pools are emptied by the second collection
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// TestOver: code can wait for a connection's end and for something else at the same
// time.
func TestOver(t *testing.T) {
	needPatched(t)
	served := make(chan (<-chan struct{}), 1)
	listener, err := listen(func(client *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		served <- client.Conn.(interface{ Over() <-chan struct{} }).Over()
		serveWell(client, channels, requests)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p, err := peer.Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Login(user, password); err != nil {
		t.Fatal(err)
	}
	over := <-served
	select {
	case <-over:
		t.Error("it is over while it goes on")
	default:
	}
	p.Conn.Close()
	select {
	case <-over:
	case <-time.After(patience):
		t.Error("it is not over when the client is gone")
	}
}

// inTurns is a connection that gives each key exchange a turn.
type inTurns struct {
	net.Conn
	mu          sync.Mutex
	taken, held int
	refuse      error
}

func (c *inTurns) ExchangeTurn() (done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return nil, c.refuse
	}
	c.taken++
	c.held++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held--
	}, nil
}

func (c *inTurns) turns() (taken, held int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken, c.held
}

// TestExchanges: for each repeated key exchange a turn is taken, at both ends, and
// given back. A peer whose turn does not come is cut.
func TestExchanges(t *testing.T) {
	needPatched(t)
	const times = 10
	a, b := tcpPair(t)
	near, far := &inTurns{Conn: a}, &inTurns{Conn: b}
	config, err := serverConfig()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if server, channels, requests, err := ssh.NewServerConn(far, config); err == nil {
			serveWell(server, channels, requests)
		}
	}()
	client, _, requests, err := ssh.NewClientConn(near, "", &ssh.ClientConfig{
		Config: ssh.Config{RekeyThreshold: 1}, // the least that there is, 256 bytes
		User:   user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	go ssh.DiscardRequests(requests)
	say := func() error {
		_, _, err := client.SendRequest("something", true, make([]byte, 1000))
		return err
	}
	for name, end := range map[string]*inTurns{"client": near, "server": far} {
		await(t, func() bool {
			if err := say(); err != nil {
				t.Fatal(err)
			}
			taken, _ := end.turns()
			return taken >= times
		})
		await(t, func() bool { _, held := end.turns(); return held == 0 })
		taken, _ := end.turns()
		t.Logf("the %s has taken %d turns", name, taken)
	}
	far.mu.Lock()
	far.refuse = errors.New("no turn")
	far.mu.Unlock()
	for end := time.Now().Add(patience); say() == nil; {
		if time.Now().After(end) {
			t.Fatal("keys are exchanged without a turn")
		}
	}
}

// TestUnanswered: a peer that sends requests which nobody answers is cut, however
// many its channels are. A peer whose requests are answered, or want no answer, may
// send any number.
func TestUnanswered(t *testing.T) {
	needPatched(t)
	const channels, requests, size = 20, 15, 250_000
	s := startServer(t)
	p, err := peer.Dial(s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Conn.Close()
	if err := p.Login(user, idle); err != nil {
		t.Fatal(err)
	}
	before := s.held(t)
	for range channels {
		channel, _, err := p.OpenSession()
		if err != nil {
			break // it was cut
		}
		for range requests {
			p.Send(peer.MsgChannelRequest, channel, "exec", true, string(make([]byte, size)))
			p.Flush()
		}
	}
	after := s.held(t)
	t.Logf("before: %v; with %d channels: %v", before, channels, after)
	if cost := after.memory - before.memory; cost > 24<<20 {
		t.Errorf("they cost %.1f MiB", mib(cost))
	}
	for _, wantReply := range []bool{true, false} {
		if err := sendAnswered(s.address, wantReply, size); err != nil {
			t.Errorf("requests that are answered, an answer wanted %v: %v", wantReply, err)
		}
	}
}

// sendAnswered sends 20 MB of requests, and returns when the server has received all
// of them.
func sendAnswered(address string, wantReply bool, size int) error {
	p, err := peer.Dial(address)
	if err != nil {
		return err
	}
	defer p.Conn.Close()
	if err := p.Login(user, password); err != nil {
		return err
	}
	channel, _, err := p.OpenSession()
	if err != nil {
		return err
	}
	for range 80 {
		p.Send(peer.MsgChannelRequest, channel, "exec", wantReply, string(make([]byte, size)))
		p.Send(peer.MsgGlobalRequest, "are you there", true)
		if err := p.Flush(); err != nil {
			return err
		}
		if _, err := p.Receive(); err != nil {
			return err
		}
		if !wantReply {
			continue
		}
		if _, err := p.Receive(); err != nil {
			return err
		}
	}
	return nil
}

// TestUnrecognized: an unknown message is answered with a report of that, and a
// message that comes too late, or answers nothing, is ignored. The connection goes
// on.
func TestUnrecognized(t *testing.T) {
	needPatched(t)
	listener, err := listen(serveWell)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p, err := peer.Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Conn.Close()
	p.Send(peer.MsgServiceRequest, "ssh-userauth")
	p.Try(user, password)
	p.Try(user, password) // the first is enough
	p.Flush()
	for _, number := range []byte{peer.MsgServiceAccept, peer.MsgUserAuthSuccess} {
		if _, err := p.Expect(number); err != nil {
			t.Fatal(err)
		}
	}
	const unimplemented, requestFailure = 3, 82
	sent := byte(6) // KEXINIT, the key, NEWKEYS, the service, two attempts
	for _, number := range []byte{unimplemented, peer.MsgUserAuthRequest, peer.MsgServiceRequest, 7, 51, 83, 101, 193, 255} {
		p.Send(number, 7)
		p.Send(peer.MsgGlobalRequest, "are you there", true)
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if number != unimplemented && number != peer.MsgUserAuthRequest {
			if said, err := p.Expect(unimplemented); err != nil || !bytes.Equal(said, []byte{unimplemented, 0, 0, 0, sent}) {
				t.Fatalf("message %d: %x, %v", number, said, err)
			}
		}
		if _, err := p.Expect(requestFailure); err != nil {
			t.Fatalf("message %d: %v", number, err)
		}
		sent += 2
	}
	const windowAdjust, channelSuccess, channelFailure = 93, 99, 100
	p.Send(windowAdjust, peer.UnknownChannel, 1) // of a channel that is closed since
	p.Send(channelSuccess, peer.UnknownChannel)
	p.Send(channelFailure, peer.UnknownChannel)
	p.Send(peer.MsgChannelOpen, "session", 0, 1<<20, 1<<32-1) // the largest packets that there could be
	p.Flush()
	if _, err := p.Expect(peer.MsgChannelConfirm); err != nil {
		t.Error(err)
	}
}

// TestHandedOn: after the login a connection has no goroutine that reads for another
// one, also when keys were exchanged; and the loop that reads by itself stops nobody.
func TestHandedOn(t *testing.T) {
	needPatched(t)
	for name, threshold := range map[string]uint64{"keys are kept": 0, "each side exchanges keys again and again": 1} {
		t.Run(name, func(t *testing.T) {
			channel, err := dialEcho(t, threshold)
			if err != nil {
				t.Fatal(err)
			}
			echoes(t, channel, 1<<20)
			await(t, func() bool { // the last exchange may need a packet to be over
				echoes(t, channel, 1)
				return stacksOf("(*handshakeTransport).readLoop")+stacksOf("(*handshakeTransport).readAside") == 0
			})
		})
	}
	t.Run("a channel is closed while its data waits for the end of an exchange", closedInExchange)
}

// dialEcho opens a channel that echoes. Both sides exchange keys after so many bytes; 0
// for never.
func dialEcho(t *testing.T, threshold uint64) (ssh.Channel, error) {
	a, b := tcpPair(t)
	config, err := serverConfig()
	if err != nil {
		return nil, err
	}
	config.RekeyThreshold = threshold
	go func() {
		if server, channels, requests, err := ssh.NewServerConn(b, config); err == nil {
			echo(server, channels, requests)
		}
	}()
	client, channels, requests, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{
		Config: ssh.Config{RekeyThreshold: threshold},
		User:   user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	go func() {
		for range channels {
		}
	}()
	channel, channelRequests, err := client.OpenChannel("session", nil)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(channelRequests)
	return channel, nil
}

// echoes sends bytes and has them back.
func echoes(t *testing.T, channel ssh.Channel, size int) {
	t.Helper()
	data, got := make([]byte, size), make([]byte, size)
	for i := range data {
		data[i] = byte(i ^ i>>8)
	}
	go channel.Write(data)
	if _, err := io.ReadFull(channel, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("other bytes came back: %v", err)
	}
}

// closedInExchange: the server wants to exchange keys. Its data waits for that, and the
// loop to answer the channel's end waits for the data. What the client still sends before
// its own part, which it may until it knows what the server wants, does not stop that.
func closedInExchange(t *testing.T) {
	t.Run("and nothing else is sent", func(t *testing.T) { exchangeIsAnswered(t, 0) })
	t.Run("and much is sent before", func(t *testing.T) { exchangeIsAnswered(t, 100*flood) })
	t.Run("and the client is gone", func(t *testing.T) {
		p, _, over := waitingLoop(t)
		for range flood {
			p.Send(peer.MsgGlobalRequest, "r", false)
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		p.Conn.Close()
		ends(t, over)
	})
	t.Run("and is never to come", func(t *testing.T) {
		p, _, over := waitingLoop(t)
		p.Conn.SetWriteDeadline(time.Now().Add(patience))
		for err := error(nil); err == nil; err = p.Flush() {
			p.Send(peer.MsgGlobalRequest, "r", false, make([]byte, 200_000))
		}
		ends(t, over)
	})
}

// exchangeIsAnswered has the client send so many requests before its part of the exchange.
func exchangeIsAnswered(t *testing.T, requests int) {
	p, got, _ := waitingLoop(t)
	for range requests {
		p.Send(peer.MsgGlobalRequest, "r", false)
	}
	if err := p.StartExchange(); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	p.Conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := p.Expect(peer.MsgKexECDHReply); err != nil {
		t.Errorf("the exchange is not answered: %v", err)
	}
	if served := got.Load(); served != 0 {
		t.Errorf("%d requests were served: the loop did not wait", served)
	}
}

// ends waits for a connection's end.
func ends(t *testing.T, over <-chan struct{}) {
	t.Helper()
	select {
	case <-over:
	case <-time.After(patience):
		t.Error("the connection does not end")
	}
}

// waitingLoop is a client whose server's loop waits for the end of an exchange, until
// over. Of the client's requests the server got so many.
func waitingLoop(t *testing.T) (p *peer.Peer, got *atomic.Int64, over <-chan struct{}) {
	t.Helper()
	const pending = 64 // packets that x/crypto keeps meanwhile
	near, far := tcpPair(t)
	var written, requested atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sendAlways(far, &written, &requested)
	}()
	p, err := peer.Meet(near)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Login(user, password); err != nil {
		t.Fatal(err)
	}
	channel, _, err := p.OpenSession()
	if err != nil {
		t.Fatal(err)
	}
	var sent int64
	for message, err := p.Receive(); ; message, err = p.Receive() {
		if err != nil {
			t.Fatal(err)
		}
		if message[0] == peer.MsgKexInit {
			break
		}
		sent++
	}
	await(t, func() bool { return written.Load() >= sent+pending })
	p.Send(peer.MsgChannelClose, channel)
	return p, &requested, ended
}

// sendAlways serves a connection: it writes to the first channel, and exchanges keys again
// and again. It counts what it has written, and the requests that it gets.
func sendAlways(conn net.Conn, written, requested *atomic.Int64) {
	config, err := serverConfig()
	if err != nil {
		return
	}
	config.RekeyThreshold = 1 // the least that there is, 256 bytes
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer server.Wait()
	go func() {
		for range requests {
			requested.Add(1)
		}
	}()
	channel, channelRequests, err := (<-channels).Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(channelRequests)
	for _, err := channel.Write(make([]byte, 100)); err == nil; _, err = channel.Write(make([]byte, 100)) {
		written.Add(1)
	}
}

// TestReceived: what is received takes no new memory, and a packet's memory is not given
// back before all of it was read.
func TestReceived(t *testing.T) {
	needPatched(t)
	t.Run("in little memory", func(t *testing.T) {
		if isRaced() {
			t.Skip("the race detector has pools forget what they are given")
		}
		channel, err := dialEcho(t, 0)
		if err != nil {
			t.Fatal(err)
		}
		const size = 32 << 20
		echoes(t, channel, 4<<20) // what is allocated once
		data, got := make([]byte, size), make([]byte, size)
		before := allocated()
		go channel.Write(data)
		if _, err := io.ReadFull(channel, got); err != nil {
			t.Fatal(err)
		}
		taken := allocated() - before
		t.Logf("%.1f MiB were allocated for %d MiB there and back", mib(taken), size>>20)
		if taken > size/2 { // without the edit 80 MiB
			t.Error("that is too much")
		}
	})
	t.Run("as it was sent", receivedWhole)
}

// allocated is how many bytes were allocated ever.
func allocated() int {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.TotalAlloc)
}

// TestSent: a connection that takes packets over gets those of data, which were made in
// the buffer that it gets, and may do with it what it likes. What was to be sent stays
// as it is.
func TestSent(t *testing.T) {
	needPatched(t)
	a, b := tcpPair(t)
	near := &taking{Conn: a}
	config, err := serverConfig()
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, 1)
	go func() {
		server, channels, requests, err := ssh.NewServerConn(b, config)
		if err != nil {
			t.Error(err)
			return
		}
		go ssh.DiscardRequests(requests)
		channel, channelRequests, err := (<-channels).Accept()
		if err != nil {
			t.Error(err)
			return
		}
		go ssh.DiscardRequests(channelRequests)
		all, _ := io.ReadAll(channel)
		got <- all
		server.Close()
	}()
	client, channels, requests, err := ssh.NewClientConn(near, "", &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	go ssh.NewClient(client, channels, requests).Wait()
	channel, channelRequests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(channelRequests)
	const packets = 200
	data := new(pattern).next(packets * 32 << 10)
	want := bytes.Clone(data)
	if _, err := channel.Write(data); err != nil {
		t.Fatal(err)
	}
	channel.CloseWrite()
	if !bytes.Equal(data, want) {
		t.Error("what was to be sent was changed")
	}
	if !bytes.Equal(<-got, want) {
		t.Error("other bytes came than were sent")
	}
	if taken := near.taken.Load(); taken < packets {
		t.Errorf("%d of %d packets were taken over", taken, packets)
	}
}
