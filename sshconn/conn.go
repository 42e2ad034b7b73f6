package sshconn

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// MaxChannels is how many channels one connection may have open. A browser behind ssh
// -D opens forwards by the hundred, and every open channel may hold a window of
// memory.
const MaxChannels = 1000

// MaxForwards is how many listeners one connection may hold (ssh -R).
const MaxForwards = 500

// Conn is an authenticated SSH connection of x/crypto, with filters on what arrives
// and wrappers around channels that are opened.
type Conn struct {
	ssh.Conn
	Channels <-chan ssh.NewChannel
	Requests <-chan *ssh.Request

	admit  func(Arrival) (_ Arrival, ok bool) // nil admits everything
	opened []wrap                             // the innermost first
}

// Admitting returns the connection with one more filter. The filter decides which
// arrivals [Order.Serve] passes on, and may change them. What it does not admit it
// must answer itself.
func (c Conn) Admitting(filter func(Arrival) (_ Arrival, ok bool)) Conn {
	before := c.admit
	c.admit = func(arrived Arrival) (Arrival, bool) {
		if before != nil {
			admitted, ok := before(arrived)
			if !ok {
				return arrived, false
			}
			arrived = admitted
		}
		return filter(arrived)
	}
	return c
}

// wrap returns a wrapper of a channel that was opened to the peer. kind and extra are
// the channel type and its data (RFC 4254 §5.1).
type wrap = func(kind string, extra []byte, channel ssh.Channel) ssh.Channel

// Wrapping returns the connection with one more wrapper around each channel that is
// opened to the peer.
func (c Conn) Wrapping(wrap func(kind string, extra []byte, channel ssh.Channel) ssh.Channel) Conn {
	c.opened = append(slices.Clone(c.opened), wrap)
	return c
}

func (c Conn) wrapped(kind string, extra []byte, channel ssh.Channel) ssh.Channel {
	for _, wrap := range c.opened {
		channel = wrap(kind, extra, channel)
	}
	return channel
}

// Over returns a channel that is closed when the connection has ended. In a build
// without the edits of package patches, each call starts a goroutine of tasks.
func (c Conn) Over(tasks *Tasks) <-chan struct{} {
	if conn, isEdited := c.edited(); isEdited {
		return conn.Over()
	}
	over := make(chan struct{})
	tasks.Go(func() {
		defer close(over)
		c.Wait()
	})
	return over
}

// IsOpenSSH reports whether a peer with this version string knows OpenSSH's own
// requests.
func IsOpenSSH(version []byte) bool {
	return strings.HasPrefix(string(version), "SSH-2.0-OpenSSH")
}

// Reply answers a request if it wants an answer. It must be called for every request:
// until then the request counts against the number that its peer may have waiting.
func Reply(request *ssh.Request, ok bool, payload []byte) { request.Reply(ok, payload) }
