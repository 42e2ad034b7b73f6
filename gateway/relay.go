package gateway

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/sshconn"
	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
)

// relayDrain is how long a client may say nothing while there is something for it
// of a host that is gone. Who takes it says so: it opens the window.
const relayDrain = 10 * time.Second

// end is one of the two connections that are joined.
type end struct {
	sshconn.Conn
	wire   *wire.Conn
	banner string // that the host's sshd showed before the login; "" for none
}

// joined are two connections: the client's, and one to the host's sshd. Each
// channel and request that one side starts is started on the other, in the order
// in which that side sent them.
type joined struct {
	client, host end
	hostSays     *sshconn.Order // it answers the client's requests
	tasks        *sshconn.Tasks
	channels     sshconn.Count
	open         atomic.Int32    // channels; what each holds is bounded, so that what all hold is
	forwards     int             // that the client holds; clientRequest's
	to           target          // whose person the host's sessions are told they run for
	lost         func() string   // what to tell a session when the host is gone
	hostGone     <-chan struct{} // closed when it is
	noticed      sync.Once
}

// relay joins until either side is gone. If that is the host, the client gets
// what was already there.
func relay(client, host end, tasks *sshconn.Tasks, to target, lost func() string) {
	j := &joined{
		client: client, host: host, hostSays: sshconn.NewOrder(host.Conn),
		tasks: tasks, to: to, lost: lost, hostGone: host.Over(tasks),
	}
	clientSays, clientGone := sshconn.NewOrder(client.Conn), client.Over(tasks)
	clientSays.Upon(j.hostGone, func() {
		tasks.Go(func() {
			j.deliverRest(clientGone)
			client.Close()
		})
	})
	j.hostSays.Upon(clientGone, func() { host.Close() }) // or what asks it would wait for its answer
	served := make(chan struct{})
	tasks.Go(func() {
		defer close(served)
		j.serve(j.hostSays, client, j.hostRequest, j.openFromHost)
	})
	j.serve(clientSays, host, j.clientRequest, j.openFromClient)
	client.Close()
	host.Close()
	<-served
	j.channels.Wait()
}

// deliverRest returns when the client has what the host had sent, or takes no
// more.
func (j *joined) deliverRest(clientGone <-chan struct{}) {
	delivered := make(chan struct{})
	j.tasks.Go(func() {
		defer close(delivered)
		j.channels.Wait()
	})
	for began := time.Now(); ; {
		left := relayDrain - min(time.Since(began), j.client.wire.Silence())
		if left <= 0 {
			return
		}
		select {
		case <-delivered:
			return
		case <-clientGone:
			return
		case <-time.After(left):
		}
	}
}

// serve carries out what one side sends, one after the other, until it is gone.
// A channel's open is sent on before what follows it, and waits for its answer
// while that goes on.
func (j *joined) serve(from *sshconn.Order, to end, request func(*ssh.Request), join func(asked sshconn.NewChannel, opened channel)) {
	from.Serve(func(arrived sshconn.Arrival) {
		switch {
		case arrived.Request != nil:
			request(arrived.Request)
		case arrived.Channel != nil:
			j.start(arrived.Channel, to, join)
		default:
			arrived.Answer()
		}
	})
}

// start opens a channel on the other side, too, and serves both to their end in
// a goroutine of their own. Only what exists there is accepted here.
func (j *joined) start(asked sshconn.NewChannel, to end, join func(asked sshconn.NewChannel, opened channel)) {
	if j.open.Add(1) > sshconn.MaxChannels {
		j.open.Add(-1)
		asked.Reject(ssh.ResourceShortage, fmt.Sprintf("more than %d channels", sshconn.MaxChannels))
		return
	}
	j.channels.Add(1)
	await := to.StartChannel(asked.ChannelType(), asked.ExtraData())
	j.tasks.Go(func() {
		defer j.channels.Add(-1)
		defer j.open.Add(-1)
		far, requests, err := await()
		if err != nil {
			reject(asked, err)
			return
		}
		join(asked, channel{far, requests})
	})
}

// clientRequest passes a global request inward. Its answer is carried out in
// its turn: after the channels that the host opened before, and before those
// that the answer is about.
func (j *joined) clientRequest(request *ssh.Request) {
	switch request.Type {
	case "keepalive@openssh.com":
		sshconn.Reply(request, false, nil) // of this hop alone
		return
	}
	change := forwardsBy(request.Type)
	if j.forwards+change > sshconn.MaxForwards {
		sshconn.Reply(request, false, nil)
		return
	}
	if !request.WantReply {
		j.host.SendRequest(request.Type, false, request.Payload)
		j.forwards += max(change, 0)
		return
	}
	j.hostSays.Ask(request.Type, request.Payload, func(ok bool, answer []byte) {
		if ok {
			j.forwards = max(j.forwards+change, 0)
		}
		request.Reply(ok, answer)
	})
}

// forwardsBy is by how much a request changes the number of forwards.
func forwardsBy(request string) int {
	switch request {
	case "tcpip-forward", "streamlocal-forward@openssh.com":
		return 1
	case "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com":
		return -1
	default:
		return 0
	}
}

// hostRequest passes a global request outward. Whether its answer goes before a
// channel that the client opens means nothing to either.
func (j *joined) hostRequest(request *ssh.Request) {
	switch request.Type {
	case "keepalive@openssh.com":
		sshconn.Reply(request, false, nil)
	case hostKeysRequest:
		// They are the container's: the client would learn them for the gateway's name.
	default:
		ok, payload, err := j.client.SendRequest(request.Type, request.WantReply, request.Payload)
		sshconn.Reply(request, ok && err == nil, payload)
	}
}

func (j *joined) openFromClient(asked sshconn.NewChannel, inner channel) {
	outer, ok := accept(asked, inner)
	switch {
	case !ok:
	case asked.ChannelType() == "session":
		j.session(outer, inner)
	default:
		j.stream(outer, inner, j.client, j.host)
	}
}

func (j *joined) openFromHost(asked sshconn.NewChannel, outer channel) {
	if inner, ok := accept(asked, outer); ok {
		j.stream(inner, outer, j.host, j.client)
	}
}

// channel is one side of a joined channel.
type channel struct {
	ssh.Channel
	requests sshconn.Requests
}

// accept accepts what the other side has opened.
func accept(asked sshconn.NewChannel, opened channel) (accepted channel, ok bool) {
	near, requests, err := asked.Accept()
	if err != nil {
		opened.Close()
		sshconn.RefuseAll(opened.requests)
		return accepted, false
	}
	return channel{near, requests}, true
}

func reject(asked sshconn.NewChannel, err error) {
	if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
		asked.Reject(refused.Reason, refused.Message)
		return
	}
	asked.Reject(ssh.ConnectionFailed, "the host is gone")
}

// passRequests passes a channel's requests on until it is closed. While one waits
// for the other side, x/crypto has room for some more, and reads no further then.
func (j *joined) passRequests(from, to channel) {
	for request := range from.requests {
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
		sshconn.End{Data: a, Ready: aEnd.wire.Ready, Serve: func() { j.passRequests(a, b) }},
		sshconn.End{Data: b, Ready: bEnd.wire.Ready, Serve: func() { j.passRequests(b, a) }},
		j.tasks, nil) // a connection that ends takes no more, and that ends the copies
}
