package sshconn

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// MaxChannels is how many channels one connection may have open. A browser
// behind -D opens forwards by the hundred, and every open channel may hold a
// window of memory.
const MaxChannels = 1000

// MaxForwards is how many listeners one connection may hold (ssh -R).
const MaxForwards = 500

// Conn is an authenticated SSH connection as x/crypto hands it out.
type Conn struct {
	ssh.Conn
	Channels <-chan ssh.NewChannel
	Requests <-chan *ssh.Request

	admit  func(Arrival) (_ Arrival, ok bool) // nil: everything
	opened []wrap                             // from inside to outside
}

// Admitting returns the connection with one more filter: it decides what
// [Order.Serve] hands on of what arrives, and as what. It answers what it does not
// admit.
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

// wrap wraps a channel that was opened to the peer, of a kind and with the extra data
// of its open (RFC 4254 §5.1).
type wrap = func(kind string, extra []byte, channel ssh.Channel) ssh.Channel

// Wrapping returns the connection with the channels that are opened to the peer
// wrapped once more.
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

// Over is closed when the connection has ended. In a build without the edits of
// package patches, each call costs a goroutine of tasks.
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

// IsOpenSSH reports whether a peer of this version knows OpenSSH's own requests.
func IsOpenSSH(version []byte) bool {
	return strings.HasPrefix(string(version), "SSH-2.0-OpenSSH")
}

// Reply answers a request, if it wants an answer. It is called for each in any case:
// until then the request counts among those that its peer has waiting.
func Reply(request *ssh.Request, ok bool, payload []byte) { request.Reply(ok, payload) }
