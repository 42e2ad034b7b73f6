// Package recorder writes to the audit file what is done on a connection that has
// entered a host: sessions and what they start, files that they copy, forwards,
// listeners, and the use of the client's agent and display. It comes after the gate,
// so it sees only what is granted, and before the code that serves the connection:
// what cannot be written is refused, unless the configuration allows it.
package recorder

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// Recorder records one connection. Its fields must be set before its first use, and
// not changed later.
type Recorder struct {
	Log *audit.Log // nil: nothing is written
	Who audit.Who

	sessions, forwards atomic.Uint64
}

// Client returns the client's connection with everything on it recorded.
func (r *Recorder) Client(conn sshconn.Conn) sshconn.Conn {
	if r.Log == nil {
		return conn
	}
	return conn.Admitting(r.admit).Wrapping(r.opened)
}

func (r *Recorder) admit(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
	switch {
	case arrived.Channel != nil:
		channel, err := r.channel(arrived.Channel)
		if err != nil {
			arrived.Channel.Reject(ssh.Prohibited, err.Error())
			return arrived, false
		}
		arrived.Channel = channel
	case arrived.Request != nil:
		if r.request(arrived.Request) != nil {
			sshconn.Reply(arrived.Request, false, nil)
			return arrived, false
		}
	}
	return arrived, true
}

// channel records that the client asks for a channel into the host.
func (r *Recorder) channel(asked sshconn.NewChannel) (sshconn.NewChannel, error) {
	var to string
	switch asked.ChannelType() {
	case "session":
		return newSession{asked, r}, nil
	case "direct-tcpip":
		var open sshconn.DirectTCPIP
		if ssh.Unmarshal(asked.ExtraData(), &open) != nil {
			return asked, nil
		}
		to = hostPort(open.Host, open.Port)
	case "direct-streamlocal@openssh.com":
		var open sshconn.DirectStreamlocal
		if ssh.Unmarshal(asked.ExtraData(), &open) != nil {
			return asked, nil
		}
		to = open.Path
	default: // a host's own sshd may serve others, such as a tunnel
		to = asked.ChannelType()
	}
	f := r.newForward()
	return newForward{asked, f}, r.Log.Write(audit.Forward{Who: r.Who, Forward: f.number, To: to})
}

func hostPort(host string, port uint32) string {
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}

// request records that the client asks for a listener.
func (r *Recorder) request(request *ssh.Request) error {
	switch request.Type {
	case "tcpip-forward":
		var at sshconn.TCPIPForward
		if ssh.Unmarshal(request.Payload, &at) == nil {
			return r.Log.Write(audit.Listener{Who: r.Who, At: hostPort(at.Address, at.Port)})
		}
	case "streamlocal-forward@openssh.com":
		var at sshconn.StreamlocalForward
		if ssh.Unmarshal(request.Payload, &at) == nil {
			return r.Log.Write(audit.Listener{Who: r.Who, At: at.Path})
		}
	}
	return nil
}

// opened records that the host has opened a channel to the client. It is called
// before any data goes through the channel.
func (r *Recorder) opened(kind string, extra []byte, channel ssh.Channel) ssh.Channel {
	f := r.newForward()
	used := audit.Used{Who: r.Who, Forward: f.number}
	switch kind {
	case "auth-agent@openssh.com":
		used.What = "agent"
	case "x11":
		used.What = "x11"
	case "forwarded-tcpip":
		var from sshconn.ForwardedTCPIP
		ssh.Unmarshal(extra, &from)
		used.What, used.At, used.From = "listener", hostPort(from.Address, from.Port), hostPort(from.OriginatorAddress, from.OriginatorPort)
	case "forwarded-streamlocal@openssh.com":
		var from sshconn.ForwardedStreamlocal
		ssh.Unmarshal(extra, &from)
		used.What, used.At = "listener", from.Path
	default:
		used.What = kind
	}
	if r.Log.Write(used) != nil {
		channel.Close()
	}
	return &forwardChannel{channel, f}
}

// forward counts the bytes of a channel that is not a session.
type forward struct {
	*Recorder
	number   uint64
	since    time.Time
	up, down atomic.Uint64
	ended    sync.Once
}

func (r *Recorder) newForward() *forward {
	return &forward{Recorder: r, number: r.forwards.Add(1), since: time.Now()}
}

func (f *forward) end(why string) {
	f.ended.Do(func() {
		f.Log.Write(audit.ForwardEnded{
			Who: f.Who, Forward: f.number, Seconds: time.Since(f.since).Seconds(), Up: f.up.Load(), Down: f.down.Load(), Why: why,
		})
	})
}

// newForward is a forward that a client asks for.
type newForward struct {
	sshconn.NewChannel
	*forward
}

// Accept accepts the channel.
func (n newForward) Accept() (ssh.Channel, sshconn.Requests, error) {
	channel, requests, err := n.NewChannel.Accept()
	if err != nil {
		n.end(err.Error())
		return nil, nil, err
	}
	return &forwardChannel{channel, n.forward}, requests, nil
}

// Reject rejects the channel.
func (n newForward) Reject(reason ssh.RejectionReason, message string) error {
	n.end(message)
	return n.NewChannel.Reject(reason, message)
}

// forwardChannel counts the bytes of a forward. Its user must close it.
type forwardChannel struct {
	ssh.Channel
	*forward
}

// Read reads what the client sends.
func (c *forwardChannel) Read(p []byte) (int, error) {
	n, err := c.Channel.Read(p)
	c.up.Add(uint64(n))
	return n, err
}

// Write writes what the client gets.
func (c *forwardChannel) Write(p []byte) (int, error) {
	n, err := c.Channel.Write(p)
	c.down.Add(uint64(n))
	return n, err
}

// Close closes the channel.
func (c *forwardChannel) Close() error {
	defer c.end("")
	return c.Channel.Close()
}
