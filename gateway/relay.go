package gateway

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"berth/sshconn"
	"berth/wire"

	"golang.org/x/crypto/ssh"
)

const (
	// relayDrain is how long a client may take to read what a host that is
	// gone had sent before.
	relayDrain = 10 * time.Second

	// maxRequests is how many requests of one channel or connection may wait
	// for the other side. Whoever sends more without waiting is cut off.
	maxRequests = 256
)

// end is one of the two connections that are joined.
type end struct {
	sshconn.Conn
	wire *wire.Conn
}

// joined are two connections: the client's, and one to the host's sshd. Each
// channel and request that one side starts is started on the other.
type joined struct {
	client, host end
	tasks        *sshconn.Tasks
	channels     sshconn.Count
	open         atomic.Int32  // channels; what each holds is bounded, so that what all hold is
	person       string        // whom the host's sessions are told they run for
	lost         func() string // what to tell a session when the host is gone
	hostGone     chan struct{} // closed when it is

	// forwarding is held from a forward request until its reply is written: a
	// channel that the host opens for it must come after the reply.
	forwarding sync.RWMutex
}

// relay joins until either side is gone. If that is the host, the client gets
// what was already there.
func relay(client, host end, tasks *sshconn.Tasks, person string, lost func() string) {
	j := &joined{client: client, host: host, tasks: tasks, person: person, lost: lost, hostGone: make(chan struct{})}
	tasks.Go(func() { j.clientRequests() })
	tasks.Go(func() { j.hostRequests() })
	tasks.Go(func() {
		defer close(j.hostGone)
		for channel := range host.Channels {
			j.start(channel, j.openFromHost)
		}
	})
	clientGone := make(chan struct{})
	tasks.Go(func() {
		defer close(clientGone)
		for channel := range client.Channels {
			j.start(channel, j.openFromClient)
		}
	})
	select {
	case <-clientGone:
	case <-j.hostGone:
		client.wire.SetDeadline(time.Now().Add(relayDrain))
		j.channels.Wait()
	}
	client.Close()
	host.Close()
	<-clientGone
	<-j.hostGone
	j.channels.Wait()
}

// start serves a channel to its end, in a goroutine of its own.
func (j *joined) start(channel ssh.NewChannel, serve func(ssh.NewChannel)) {
	j.channels.Add(1)
	j.tasks.Go(func() {
		defer j.channels.Add(-1)
		defer j.open.Add(-1)
		if j.open.Add(1) > sshconn.MaxChannels {
			channel.Reject(ssh.ResourceShortage, fmt.Sprintf("more than %d channels", sshconn.MaxChannels))
			return
		}
		serve(channel)
	})
}

// clientRequests passes global requests inward, one by one: replies carry
// nothing but their order (RFC 4254 §4).
func (j *joined) clientRequests() {
	for request := range j.queue(j.client, j.client.Requests) {
		switch request.Type {
		case "keepalive@openssh.com", "hostkeys-prove-00@openssh.com":
			sshconn.Reply(request, false, nil) // of this hop alone
		case "no-more-sessions@openssh.com":
			// Inward, it could overtake the session that was opened before it.
		default:
			j.forwarding.Lock()
			pass(request, j.host)
			j.forwarding.Unlock()
		}
	}
}

func (j *joined) hostRequests() {
	for request := range j.queue(j.host, j.host.Requests) {
		switch request.Type {
		case "keepalive@openssh.com":
			sshconn.Reply(request, false, nil)
		case "hostkeys-00@openssh.com":
			// They are the container's: the client would learn them for the gateway's name.
		default:
			pass(request, j.client)
		}
	}
}

// pass passes a global request on and its reply back.
func pass(request *ssh.Request, to end) {
	ok, payload, err := to.SendRequest(request.Type, request.WantReply, request.Payload)
	sshconn.Reply(request, ok && err == nil, payload)
}

// queue reads requests as they come, so that one which waits for the other
// side never stops the connection that sent it.
func (j *joined) queue(from end, requests <-chan *ssh.Request) <-chan *ssh.Request {
	queued := make(chan *ssh.Request, maxRequests)
	j.tasks.Go(func() {
		defer close(queued)
		for request := range requests {
			select {
			case queued <- request:
			default:
				from.Close()
			}
		}
	})
	return queued
}

func (j *joined) openFromClient(channel ssh.NewChannel) {
	outer, inner, ok := open(channel, j.host)
	if !ok {
		return
	}
	if channel.ChannelType() == "session" {
		j.session(outer, inner)
		return
	}
	j.stream(outer, inner, j.client, j.host)
}

func (j *joined) openFromHost(channel ssh.NewChannel) {
	j.forwarding.RLock() // the reply that the client waits for goes first
	//lint:ignore SA2001 waiting is all
	j.forwarding.RUnlock()
	if inner, outer, ok := open(channel, j.client); ok {
		j.stream(inner, outer, j.host, j.client)
	}
}

// channel is one side of a joined channel.
type channel struct {
	ssh.Channel
	requests <-chan *ssh.Request
}

// open opens the other side first: only what exists there is accepted here.
func open(asked ssh.NewChannel, to end) (from, opened channel, ok bool) {
	far, farRequests, err := to.OpenChannel(asked.ChannelType(), asked.ExtraData())
	if err != nil {
		reject(asked, err)
		return from, opened, false
	}
	opened = channel{far, farRequests}
	near, nearRequests, err := asked.Accept()
	if err != nil {
		far.Close()
		ssh.DiscardRequests(farRequests)
		return from, opened, false
	}
	return channel{near, nearRequests}, opened, true
}

func reject(asked ssh.NewChannel, err error) {
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		asked.Reject(refused.Reason, refused.Message)
		return
	}
	asked.Reject(ssh.ConnectionFailed, "the host is gone")
}

// passRequests passes a channel's requests on until it is closed.
func (j *joined) passRequests(from, to channel, fromEnd end) {
	for request := range j.queue(fromEnd, from.requests) {
		passRequest(request, to)
	}
}

func passRequest(request *ssh.Request, to channel) {
	ok, err := to.SendRequest(request.Type, request.WantReply, request.Payload)
	sshconn.Reply(request, ok && err == nil, nil)
}

// stream relays a channel that is two streams of bytes: a forward, an agent,
// X11. A side that closes it has its last bytes delivered first.
func (j *joined) stream(a, b channel, aEnd, bEnd end) {
	sshconn.Join(
		sshconn.End{Data: a, Ready: aEnd.wire.Ready, Serve: func() { j.passRequests(a, b, aEnd) }},
		sshconn.End{Data: b, Ready: bEnd.wire.Ready, Serve: func() { j.passRequests(b, a, bEnd) }},
		j.tasks, nil) // a connection that ends takes no more, and that ends the copies
}
