package gateway

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"berth/auth"
	"berth/gate"
	"berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// take counts a connection of a person until giveBack. The error says that there
// are too many.
func (c *conn) take(person string, limits auth.Limits) (giveBack func(), err error) {
	key := gate.Key{What: "connections", Person: person}
	if !c.server.counts.Take(key, limits.Connections) {
		return nil, fmt.Errorf("%s has %d connections already, and may have no more", person, limits.Connections)
	}
	return func() { c.server.counts.GiveBack(key) }, nil
}

// limitTime ends a connection after its time, until ctx ends.
func (c *conn) limitTime(ctx context.Context, limits auth.Limits) {
	if limits.Total == 0 {
		return
	}
	timer := time.AfterFunc(limits.Total, func() {
		c.server.End(c.id, fmt.Sprintf("it has lasted %v, as long as it may", limits.Total))
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// limitIdle ends a connection when its channels have been silent for too long,
// until ctx ends. What serves the returned connection is watched: data in either
// direction and new channels count, keepalives do not.
func (c *conn) limitIdle(ctx context.Context, conn sshconn.Conn, limits auth.Limits) sshconn.Conn {
	if limits.Idle == 0 {
		return conn
	}
	w := &activity{}
	w.touch()
	c.tasks.Go(func() {
		if w.awaitSilence(ctx, limits.Idle) {
			c.server.End(c.id, fmt.Sprintf("nothing was sent for %v, as long as it may be idle", limits.Idle))
		}
	})
	return conn.Admitting(w.watch).Wrapping(func(channel ssh.Channel) ssh.Channel {
		w.touch()
		return activeChannel{channel, w}
	})
}

// activity is when something was last sent.
type activity struct{ last atomic.Pointer[time.Time] }

func (a *activity) touch() {
	now := time.Now()
	a.last.Store(&now)
}

// awaitSilence waits until nothing was sent for so long, or until ctx ends.
func (a *activity) awaitSilence(ctx context.Context, length time.Duration) (silent bool) {
	for {
		left := length - time.Since(*a.last.Load())
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

// watch watches a channel that the client opens.
func (a *activity) watch(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
	if arrived.Channel != nil {
		arrived.Channel = activeNewChannel{arrived.Channel, a}
	}
	return arrived, true
}

type activeNewChannel struct {
	ssh.NewChannel
	activity *activity
}

// Accept accepts a channel that is watched.
func (n activeNewChannel) Accept() (ssh.Channel, <-chan *ssh.Request, error) {
	n.activity.touch()
	channel, requests, err := n.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	return activeChannel{channel, n.activity}, requests, nil
}

type activeChannel struct {
	ssh.Channel
	activity *activity
}

// Read reads what the client sends.
func (c activeChannel) Read(p []byte) (int, error) {
	n, err := c.Channel.Read(p)
	c.activity.touch()
	return n, err
}

// Write writes what the client gets.
func (c activeChannel) Write(p []byte) (int, error) {
	c.activity.touch()
	return c.Channel.Write(p)
}

// Stderr is watched, too.
func (c activeChannel) Stderr() io.ReadWriter { return activeStderr{c.Channel.Stderr(), c.activity} }

type activeStderr struct {
	io.ReadWriter
	activity *activity
}

// Write writes what the client gets.
func (s activeStderr) Write(p []byte) (int, error) {
	s.activity.touch()
	return s.ReadWriter.Write(p)
}
