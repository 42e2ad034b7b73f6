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

// endTimeout is how long a connection that was ended may still take to tell its
// sessions.
const endTimeout = 10 * time.Second

// Live describes the connection of a person who is logged in, at one moment.
type Live struct {
	ID            string // the value of conn in the log
	Identity      auth.Identity
	Remote        string // address and port
	ClientVersion string // as the client sent it, any bytes: must be cleaned before it is shown
	Since         time.Time

	// Where it leads; "" until the host is reached.
	Host, Account, Route, Container string

	// Bytes from the client and to it, with SSH's own overhead.
	Up, Down uint64

	// Idle is how long its channels have been silent; keepalives do not count.
	Idle time.Duration

	// Open channels: sessions, and connections through a forward.
	Sessions, Forwards int64
}

// Ended is the error of a connection that somebody has ended.
type Ended struct{ Reason string }

func (e *Ended) Error() string { return "this connection was ended: " + e.Reason }

// endOf returns why a connection was ended, or nil.
func endOf(ctx context.Context) *Ended {
	ended, _ := errors.AsType[*Ended](context.Cause(ctx))
	return ended
}

// Live returns the connections of people who are logged in, the oldest first.
func (s *Server) Live() []Live { return s.live.list() }

// End ends a live connection. Each of its sessions gets the reason, which must be one
// line, on stderr and exits with 255; End does not wait for that. It returns false if
// there is no such connection.
func (s *Server) End(id, reason string) bool { return s.live.end(id, &Ended{reason}) }

// liveConns holds the connections of people who are logged in.
type liveConns struct {
	mu   sync.Mutex
	byID map[string]*liveConn
}

type liveConn struct {
	Live     // guarded by liveConns.mu; without the counters, which now fills in
	target   auth.Target
	review   *time.Timer // fires when the grant ends; nil if it never does
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

// entered records where a connection leads.
func (l *liveConns) entered(id string, to *reached) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.byID[id]
	c.Host, c.Account, c.Route, c.Container = to.host.Name, to.account, to.host.Route, to.host.Container
	c.target = to.target
}

// identify replaces a connection's identity by a newer one from the directory.
func (l *liveConns) identify(id string, now auth.Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.byID[id]; c != nil {
		c.Identity = now
	}
}

// get returns a live connection. entered is false if there is none, or if it has not
// entered a host yet.
func (l *liveConns) get(id string) (c liveConn, entered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.byID[id]; found != nil {
		c = *found
	}
	return c, c.Host != ""
}

// reviewAt makes review be called at a time. It replaces the time that was set
// before.
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

// now returns the connection's description with the present counters.
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

// WriteWhole is like [wire.Conn.WriteWhole].
func (c *counted) WriteWhole(packet []byte, giveBack func([]byte)) (int, error) {
	n, err := c.Conn.WriteWhole(packet, giveBack)
	c.down.Add(uint64(n))
	return n, err
}
