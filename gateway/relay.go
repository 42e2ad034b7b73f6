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

// relayDrain is how long a client may stay silent while data of a host that is gone
// still waits for it. A client that takes data is not silent: it opens the window.
const relayDrain = 10 * time.Second

// end is one of the two connections that are joined.
type end struct {
	sshconn.Conn
	wire   *wire.Conn
	banner string // that the host's sshd showed before the login; "" for none
}

// joined is a pair of connections: the client's, and one to the host's sshd. Each
// channel and request of one side is repeated on the other, in the same order.
type joined struct {
	client, host end
	hostSays     *sshconn.Order // what the host sends, with its answers to the client's requests
	tasks        *sshconn.Tasks
	channels     sshconn.Count
	open         atomic.Int32    // channels; bounding them bounds their memory
	forwards     int             // that the client holds; only clientRequest uses it
	to           target          // has the person, whose name the host's sessions get
	lost         func() string   // returns the text for a session whose host is gone
	hostGone     <-chan struct{} // closed when the host is gone
	noticed      sync.Once
}

// relay joins two connections until either side is gone. If the host is gone first,
// the client still gets what the host had sent.
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
	j.hostSays.Upon(clientGone, func() { host.Close() }) // otherwise a request to the host would wait for its answer
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

// deliverRest returns when the client has all that the host had sent, or when it
// takes no more.
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

// serve handles what one side sends, in order, until that side is gone. A channel
// open is passed on before what follows it; its answer is awaited in the background.
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

// start asks the other side to open the channel, and serves both channels in a
// goroutine of its own. It accepts the channel only if the other side did.
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

// clientRequest passes a client's global request to the host. It handles the answer
// in its turn: after channels that the host opened before the answer, and before
// those that the answer is about.
func (j *joined) clientRequest(request *ssh.Request) {
	switch request.Type {
	case "keepalive@openssh.com":
		sshconn.Reply(request, false, nil) // concerns only this connection
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

// forwardsBy returns by how much a request changes the number of forwards.
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

// hostRequest passes a host's global request to the client. The order of its answer
// among the client's channels has no meaning, so the answer is not kept in turn.
func (j *joined) hostRequest(request *ssh.Request) {
	switch request.Type {
	case "keepalive@openssh.com":
		sshconn.Reply(request, false, nil)
	case hostKeysRequest:
		// The host's keys: the client would store them under the gateway's name.
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

// channel is one of two joined channels.
type channel struct {
	ssh.Channel
	requests sshconn.Requests
}

// accept accepts a channel that the other side has opened.
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

// passRequests passes a channel's requests on until the channel is closed. While one
// of them waits for its answer, x/crypto buffers a few more, and then stops reading.
func (j *joined) passRequests(from, to channel) {
	for request := range from.requests {
		passRequest(request, to)
	}
}

func passRequest(request *ssh.Request, to channel) {
	ok, err := to.SendRequest(request.Type, request.WantReply, request.Payload)
	sshconn.Reply(request, ok && err == nil, nil)
}

// stream relays a channel that is plain data in both directions: a forward, an agent,
// X11. When a side closes it, that side's last bytes are delivered first.
func (j *joined) stream(a, b channel, aEnd, bEnd end) {
	sshconn.Join(
		sshconn.End{Data: a, Ready: aEnd.wire.Ready, Serve: func() { j.passRequests(a, b) }},
		sshconn.End{Data: b, Ready: bEnd.wire.Ready, Serve: func() { j.passRequests(b, a) }},
		j.tasks, nil) // nil: when a connection ends, its writes fail, and that ends the copies
}
