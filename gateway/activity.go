package gateway

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// activity records what happens in a connection's channels.
type activity struct {
	last atomic.Pointer[time.Time] // when data was last sent or a channel was last opened; keepalives do not count

	sessions, forwards atomic.Int64 // how many are open
}

func newActivity() *activity {
	a := &activity{}
	a.touch()
	return a
}

// touchEvery is the precision of silence: noting the time of every packet would cost
// more.
const touchEvery = time.Millisecond

func (a *activity) touch() {
	now := time.Now()
	if last := a.last.Load(); last == nil || now.Sub(*last) >= touchEvery {
		a.last.Store(&now)
	}
}

// silence returns how long nothing was sent.
func (a *activity) silence() time.Duration { return time.Since(*a.last.Load()) }

// awaitSilence waits until nothing was sent for length, or until ctx ends. It reports
// which.
func (a *activity) awaitSilence(ctx context.Context, length time.Duration) (silent bool) {
	for {
		left := length - a.silence()
		if left <= 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(left):
		}
	}
}

// track returns the connection with its channels watched. All of its channels must be
// served through the result.
func (a *activity) track(conn sshconn.Conn) sshconn.Conn {
	return conn.Admitting(a.watch).Wrapping(func(kind string, _ []byte, channel ssh.Channel) ssh.Channel {
		return a.opened(kind, channel)
	})
}

// watch watches a channel that the client asks to open.
func (a *activity) watch(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
	if arrived.Channel != nil {
		arrived.Channel = activeNewChannel{arrived.Channel, a}
	}
	return arrived, true
}

// opened watches a channel that is open, and counts it until it is closed.
func (a *activity) opened(kind string, channel ssh.Channel) ssh.Channel {
	a.touch()
	count := a.countOf(kind)
	if count == nil {
		return &activeChannel{channel, a, func() {}}
	}
	count.Add(1)
	return &activeChannel{channel, a, sync.OnceFunc(func() { count.Add(-1) })}
}

// countOf returns the counter for channels of a kind: sessions or forwards. It is nil
// for other kinds, such as channels to an agent.
func (a *activity) countOf(kind string) *atomic.Int64 {
	switch {
	case kind == "session":
		return &a.sessions
	case strings.HasPrefix(kind, "direct-"), strings.HasPrefix(kind, "forwarded-"):
		return &a.forwards
	}
	return nil
}

type activeNewChannel struct {
	sshconn.NewChannel
	activity *activity
}

// Accept accepts a channel that is watched.
func (n activeNewChannel) Accept() (ssh.Channel, sshconn.Requests, error) {
	channel, requests, err := n.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	return n.activity.opened(n.ChannelType(), channel), requests, nil
}

type activeChannel struct {
	ssh.Channel
	activity *activity
	closed   func()
}

// Read reads what the client sends.
func (c *activeChannel) Read(p []byte) (int, error) {
	n, err := c.Channel.Read(p)
	if n > 0 {
		c.activity.touch()
	}
	return n, err
}

// Write writes what the client gets.
func (c *activeChannel) Write(p []byte) (int, error) {
	c.activity.touch()
	return c.Channel.Write(p)
}

// Close closes the channel, which is then no longer counted.
func (c *activeChannel) Close() error {
	c.closed()
	return c.Channel.Close()
}

// Stderr returns the channel's stderr, also watched.
func (c *activeChannel) Stderr() io.ReadWriter { return activeStderr{c.Channel.Stderr(), c.activity} }

type activeStderr struct {
	io.ReadWriter
	activity *activity
}

// Write writes what the client gets.
func (s activeStderr) Write(p []byte) (int, error) {
	s.activity.touch()
	return s.ReadWriter.Write(p)
}
