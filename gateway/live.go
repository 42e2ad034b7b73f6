package gateway

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/wire"
)

// endTimeout is how long a connection that was ended may take to tell its
// sessions.
const endTimeout = 10 * time.Second

// Live is a connection of a person who is logged in, as it is at one moment.
type Live struct {
	ID            string // what the log calls conn
	Identity      auth.Identity
	Remote        string // address and port
	ClientVersion string // as the client says it, any bytes: clean it before it is shown
	Since         time.Time

	// Where it leads; "" until the host was reached.
	Host, Account, Route, Container string

	// Bytes on the wire from the client and to it, SSH's own included.
	Up, Down uint64

	// Idle is for how long its channels were silent; keepalives do not count.
	Idle time.Duration

	// Channels that are open: sessions, and connections through a forward.
	Sessions, Forwards int64
}

// Ended is why a connection ends that somebody has ended.
type Ended struct{ Reason string }

func (e *Ended) Error() string { return "this connection was ended: " + e.Reason }

// endOf is why a connection was ended, or nil.
func endOf(ctx context.Context) *Ended {
	ended, _ := errors.AsType[*Ended](context.Cause(ctx))
	return ended
}

// Live lists the connections of people who are logged in, the oldest first.
func (s *Server) Live() []Live { return s.live.list() }

// End ends a live connection and tells each of its sessions the reason, which is
// one line, on its stderr; it exits with 255. End does not wait for that. It
// reports whether there is such a connection.
func (s *Server) End(id, reason string) bool { return s.live.end(id, &Ended{reason}) }

// liveConns are the connections of people who are logged in.
type liveConns struct {
	mu   sync.Mutex
	byID map[string]*liveConn
}

type liveConn struct {
	Live     // guarded by liveConns.mu; without what changes by itself
	target   auth.Target
	review   *time.Timer // when the grant ends; nil where it does not
	bytes    *counted
	activity *activity
	end      func(*Ended)
}

func (l *liveConns) add(c *liveConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil {
		l.byID = map[string]*liveConn{}
	}
	l.byID[c.ID] = c
}

// entered says where a connection leads.
func (l *liveConns) entered(id string, to *reached) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.byID[id]
	c.Host, c.Account, c.Route, c.Container = to.host.Name, to.account, to.host.Route, to.host.Container
	c.target = to.target
}

// identify replaces who a connection is of by what a service says now.
func (l *liveConns) identify(id string, now auth.Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.byID[id]; c != nil {
		c.Identity = now
	}
}

// get is a connection that is there and has entered a host.
func (l *liveConns) get(id string) (c liveConn, entered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.byID[id]; found != nil {
		c = *found
	}
	return c, c.Host != ""
}

// reviewAt calls review at a time, and at no other that was set before.
func (l *liveConns) reviewAt(id string, at time.Time, review func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.byID[id]
	if c == nil {
		return
	}
	c.stopReview()
	c.review = time.AfterFunc(time.Until(at), review)
}

func (c *liveConn) stopReview() {
	if c.review != nil {
		c.review.Stop()
	}
}

func (l *liveConns) remove(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.byID[id]; c != nil {
		c.stopReview()
	}
	delete(l.byID, id)
}

func (l *liveConns) list() []Live {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Live, 0, len(l.byID))
	for _, c := range l.byID {
		all = append(all, c.now())
	}
	slices.SortFunc(all, func(a, b Live) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// now is what is known of the connection at this moment.
func (c *liveConn) now() Live {
	now := c.Live
	now.Up, now.Down = c.bytes.up.Load(), c.bytes.down.Load()
	now.Idle = c.activity.silence()
	now.Sessions, now.Forwards = c.activity.sessions.Load(), c.activity.forwards.Load()
	return now
}

func (l *liveConns) end(id string, ended *Ended) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, isLive := l.byID[id]
	if isLive {
		c.end(ended)
	}
	return isLive
}

// counted counts the bytes of a client's connection.
type counted struct {
	*wire.Conn
	up, down atomic.Uint64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.up.Add(uint64(n))
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.down.Add(uint64(n))
	return n, err
}

// WriteWhole is that of [wire.Conn].
func (c *counted) WriteWhole(packet []byte, giveBack func([]byte)) (int, error) {
	n, err := c.Conn.WriteWhole(packet, giveBack)
	c.down.Add(uint64(n))
	return n, err
}
