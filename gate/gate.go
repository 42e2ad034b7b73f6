// Package gate refuses what the grant, or the credential of the login, does not allow on
// a connection.
//
// A [Gate] stands between a client's connection and what serves it, the session server
// or the relay to a host's sshd. So one table decides for both, and what it refuses
// reaches neither of them, nor the host. [Counts] are how many connections, sessions and
// forwards people have at the same time, for their limits.
package gate

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// Gate lets through what a grant allows on a connection. Its fields are set before
// it is used and not changed.
type Gate struct {
	Person string
	To     auth.Target // with the grant
	Limits auth.Limits
	Counts *Counts
	Log    *slog.Logger

	// ByKey says that the key or certificate of the login restricts To.Grant, too.
	// Refusals mention it.
	ByKey bool

	// Watch, if it is not nil, returns the watcher of a session that the client has
	// opened; nil for none.
	Watch func(ssh.Channel) *Watcher
}

// Watcher follows a session. Each of its functions is called by one goroutine.
type Watcher struct {
	// Channel is served in the place of the client's.
	Channel ssh.Channel

	// Granted is called with each request that is granted, before it is served. It may
	// refuse the request, by returning why.
	Granted func(*ssh.Request) (why string)

	// Ended is called when the client has closed the channel.
	Ended func()
}

// Client returns a client's connection without what is not granted, and without what the
// client has promised not to do. What arrives is filtered where it is taken (see
// [sshconn.Order]).
func (g *Gate) Client(conn sshconn.Conn) sshconn.Conn {
	return conn.Admitting((&promise{gate: g, conn: conn}).admit)
}

// Host returns a host's connection without the channels that it may not open to the
// client. A client should refuse them itself; not every one does.
func (g *Gate) Host(conn sshconn.Conn) sshconn.Conn {
	return conn.Admitting(g.admitFromHost)
}

func (g *Gate) admitFromClient(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
	switch {
	case arrived.Channel != nil:
		if why := g.whyNoChannel(arrived.Channel); why != "" {
			g.refused(arrived.Channel.ChannelType(), why)
			arrived.Channel.Reject(ssh.Prohibited, why)
			return arrived, false
		}
		counted, ok := g.count(arrived.Channel)
		arrived.Channel = counted
		return arrived, ok
	case arrived.Request != nil:
		if why := g.whyNoRequest(arrived.Request); why != "" {
			g.refused(arrived.Request.Type, why)
			sshconn.Reply(arrived.Request, false, nil)
			return arrived, false
		}
	}
	return arrived, true
}

func (g *Gate) admitFromHost(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
	if arrived.Channel == nil || g.mayComeBack(arrived.Channel.ChannelType()) {
		return arrived, true
	}
	arrived.Channel.Reject(ssh.Prohibited, "not granted")
	return arrived, false
}

func (g *Gate) mayComeBack(kind string) bool {
	switch grant := g.To.Grant; kind {
	case "forwarded-tcpip":
		return !grant.NoRemote
	case "forwarded-streamlocal@openssh.com":
		return !grant.NoStreamlocal
	case "auth-agent@openssh.com", "agent-connect":
		return !grant.NoAgent
	case "x11":
		return !grant.NoX11
	default:
		return !grant.Any()
	}
}

func (g *Gate) refused(what, why string) { g.Log.Info("not granted", "what", what, "why", why) }

func (g *Gate) not(format string, args ...any) string {
	why := fmt.Sprintf(format, args...) + " is not granted to " + g.Person + " on " + g.To.Host.Name
	if g.ByKey {
		why += ", or not by this key"
	}
	return why
}

// whyNoChannel says why a client may not open a channel; "" if it may.
func (g *Gate) whyNoChannel(channel sshconn.NewChannel) string {
	switch grant := g.To.Grant; channel.ChannelType() {
	case "session":
		return ""
	case "direct-tcpip":
		var open sshconn.DirectTCPIP
		if ssh.Unmarshal(channel.ExtraData(), &open) != nil {
			return unreadable("direct-tcpip")
		}
		return g.unless(grant.MayOpen(open.Host, open.Port), "a forward to %q port %d", open.Host, open.Port)
	case "direct-streamlocal@openssh.com":
		var open sshconn.DirectStreamlocal
		if ssh.Unmarshal(channel.ExtraData(), &open) != nil {
			return unreadable("direct-streamlocal")
		}
		return g.unless(!grant.NoStreamlocal, "a forward to a unix socket")
	default:
		return g.unless(!grant.Any(), "this kind of channel")
	}
}

// whyNoRequest says why a client may not make a global request; "" if it may.
func (g *Gate) whyNoRequest(request *ssh.Request) string {
	switch grant := g.To.Grant; request.Type {
	case "tcpip-forward":
		var forward sshconn.TCPIPForward
		if ssh.Unmarshal(request.Payload, &forward) != nil {
			return unreadable("tcpip-forward")
		}
		return g.unless(grant.MayListen(forward.Address, forward.Port), "a listener at %q port %d", forward.Address, forward.Port)
	case "streamlocal-forward@openssh.com":
		var forward sshconn.StreamlocalForward
		if ssh.Unmarshal(request.Payload, &forward) != nil {
			return unreadable("streamlocal-forward")
		}
		return g.unless(!grant.NoStreamlocal, "a unix socket to listen on")
	case "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com", "keepalive@openssh.com",
		noMoreSessions:
		return ""
	default:
		return g.unless(!grant.Any(), "this kind of request")
	}
}

// unreadable says why what has not the form of its kind is refused, whatever is granted:
// some hosts read it all the same, and nobody else would know what it asks for.
func unreadable(what string) string { return "a malformed " + what + " is not served" }

func (g *Gate) unless(granted bool, what string, args ...any) string {
	if granted {
		return ""
	}
	return g.not(what, args...)
}

// count counts a channel that is granted, and rejects it if it exceeds a limit.
func (g *Gate) count(channel sshconn.NewChannel) (_ sshconn.NewChannel, ok bool) {
	isSession := channel.ChannelType() == "session"
	if !isSession && g.Limits.Forwards == 0 {
		return channel, true
	}
	counted := &countedChannel{NewChannel: channel, gate: g}
	counted.ended = sync.OnceFunc(counted.giveBack)
	var why string
	switch {
	case !isSession && !counted.take("forwards", "", g.Limits.Forwards):
		why = fmt.Sprintf("more than %d forwards of %s", g.Limits.Forwards, g.Person)
	case isSession && !counted.take("sessions", "", g.Limits.Sessions):
		why = fmt.Sprintf("more than %d sessions of %s", g.Limits.Sessions, g.Person)
	case isSession && !counted.take("sessions", g.To.Host.Name, g.To.Grant.Sessions):
		why = fmt.Sprintf("more than %d sessions of %s on %s", g.To.Grant.Sessions, g.Person, g.To.Host.Name)
	default:
		return counted, true
	}
	g.refused(channel.ChannelType(), why)
	counted.Reject(ssh.ResourceShortage, why)
	return nil, false
}

// countedChannel is a channel that a client asks for. It counts until it has ended.
type countedChannel struct {
	sshconn.NewChannel
	gate  *Gate
	taken []Key
	ended func()
}

func (c *countedChannel) take(what, host string, limit int) bool {
	key := Key{what, c.gate.Person, host}
	if !c.gate.Counts.Take(key, limit) {
		return false
	}
	c.taken = append(c.taken, key)
	return true
}

func (c *countedChannel) giveBack() {
	for _, key := range c.taken {
		c.gate.Counts.GiveBack(key)
	}
}

// Reject rejects the channel.
func (c *countedChannel) Reject(reason ssh.RejectionReason, message string) error {
	c.ended()
	return c.NewChannel.Reject(reason, message)
}

// Accept accepts the channel. The caller sees only requests that are granted.
func (c *countedChannel) Accept() (ssh.Channel, sshconn.Requests, error) {
	channel, requests, err := c.NewChannel.Accept()
	if err != nil {
		c.ended()
		return nil, nil, err
	}
	if c.ChannelType() == "session" {
		session := c.gate.session(channel)
		channel, requests = session.channel, session.granted(requests)
	}
	return channel, c.counting(requests), nil
}

// counting returns the requests; when they end, the channel counts no longer.
func (c *countedChannel) counting(requests sshconn.Requests) sshconn.Requests {
	return func(yield func(*ssh.Request) bool) {
		defer c.ended()
		requests(yield)
	}
}
