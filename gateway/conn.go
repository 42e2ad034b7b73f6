package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/recorder"
	"github.com/berth-ssh/berth/sshconn"
	"github.com/berth-ssh/berth/strangers"
	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
)

// conn is one connection of a person. Only serve and the functions that it calls
// change it. Others see the connection only through the server's live connections.
type conn struct {
	server *Server
	id     string // names the connection in the log and among the server's live connections
	wire   *wire.Conn
	bytes  *counted     // wire, with its bytes counted
	ssh    *exchange    // bytes, with turns for key exchanges; what x/crypto reads and writes
	log    *slog.Logger // rate-limited until the login: see Server.strangersLog
	tasks  *sshconn.Tasks

	hostKeys announced

	activity *activity // of its channels
	began    time.Time
	exchange atomic.Int64 // how long the key exchange took

	person    string       // the user who has logged in
	terminals atomic.Int64 // how many terminals were recorded

	cleanups []func()
	running  atomic.Int64 // goroutines that tasks and the session server run now

	grace    *time.Timer                           // ends a login that takes too long
	methods  keeper.LoginMethods                   // the methods by which the login may begin
	stranger *strangers.Stranger                   // until the login
	preAuth  atomic.Pointer[ssh.ServerPreAuthConn] // nil before authentication
}

func newConn(s *Server, raw net.Conn) *conn {
	s.begin.Do(s.open)
	c := &conn{server: s, id: rand.Text()[:8], wire: s.wires.New(raw), activity: newActivity(), began: time.Now()}
	c.bytes = &counted{Conn: c.wire}
	c.ssh = &exchange{counted: c.bytes}
	c.log = c.logTo(s.strangersLog)
	c.tasks = &sshconn.Tasks{Panicked: c.panicked, Running: &c.running}
	return c
}

// logTo returns a log whose lines name this connection.
func (c *conn) logTo(log *slog.Logger) *slog.Logger {
	return log.With("conn", c.id, "remote", c.wire.RemoteAddr().String())
}

// serve runs a connection's whole life, top to bottom. When it returns, nothing of
// the connection is left. When ctx ends, the connection is cut.
func (c *conn) serve(ctx context.Context) {
	defer func() { c.log.Debug("closed") }()
	defer c.tasks.Wait()
	defer c.wire.Close()
	defer c.stranger.Leave()
	stop := context.AfterFunc(ctx, func() { c.wire.Conn.Close() })
	defer stop()
	defer c.runCleanups() // registered by logIn

	entry := c.logIn(ctx) // RFC 4253 and 4252, and the way to the host
	if entry == nil {
		return
	}
	began := time.Now()
	entry.route.run(entry.ctx, entry.client) // RFC 4254, until either side is gone: see sshdRoute and machineRoute
	c.log.Info("left", "after", time.Since(began).Round(time.Millisecond))
	c.auditLeft(entry.recorder, time.Since(began), endOf(entry.ctx))
}

// entry is a host that a connection has entered, with what is needed to serve it
// there.
type entry struct {
	*reached
	ctx      context.Context // ends when the connection is to end
	client   sshconn.Conn    // filtered: only what is granted
	recorder *recorder.Recorder
}

// logIn logs the person in, finds the host and opens it. It returns nil if that
// failed; the client has been told why. It is a function of its own because it needs
// a large stack, which serve would keep as long as the connection lives.
func (c *conn) logIn(ctx context.Context) *entry {
	client, who, err := c.handshake(ctx)
	if err != nil {
		level := slog.LevelInfo
		if errors.Is(err, wire.ErrSaidNothing) {
			level = slog.LevelDebug
		}
		c.log.Log(ctx, level, "not logged in", "err", err)
		return nil
	}
	c.cleanup(func() { client.Close() })
	c.stranger.Leave()
	login := time.Now()
	c.person = who.User
	c.log = c.logTo(c.server.Log)
	c.log.Info("logged in", "login", who.Login.String(), "client", string(client.ClientVersion()))
	ctx, remove := c.enlist(ctx, client, who) // from here on others can see and end it
	c.cleanup(remove)
	entry, err := c.admit(ctx, client, who, login)
	if err != nil {
		c.refuse(client, who, err)
		return nil
	}
	return entry
}

// admit lets a person who has logged in enter a host. The error's text is shown to
// the person.
func (c *conn) admit(ctx context.Context, client sshconn.Conn, who auth.Identity, login time.Time) (*entry, error) {
	if err := c.auditLogin(client, who); err != nil {
		return nil, err
	}
	admitted, refusal := c.server.Keeper.Admit(ctx, who)
	giveBack, err := c.take(who.User, admitted.Limits)
	if err != nil {
		return nil, err
	}
	c.cleanup(giveBack)
	if refusal != nil {
		return nil, refusal
	}
	host, limits := admitted.Host, admitted.Limits
	c.log = c.log.With("user", who.User, "host", host)

	c.cleanup(c.keepAlive(end{Conn: client, wire: c.wire}, "client"))
	reached, err := c.reach(ctx, client, host, who) // the host that the login names, if it is granted
	if err != nil {
		return nil, err
	}
	recorder, err := c.auditEntry(who, reached, login)
	if err != nil {
		reached.route.close()
		return nil, err
	}

	c.log.Info("entered", "route", reached.host.Route, "account", reached.account, "container", short(reached.host.Container))
	c.server.live.entered(c.id, reached)
	c.server.review(c.id) // in case another policy has come into force meanwhile
	c.limitTime(ctx, limits)
	c.limitIdle(ctx, limits)
	granted := recorder.Client(c.activity.track(reached.gate.Client(client)))
	return &entry{reached, ctx, granted, recorder}, nil
}

// cleanup registers f to be called when the connection ends. Like testing.T.Cleanup,
// it calls the last one first.
func (c *conn) cleanup(f func()) { c.cleanups = append(c.cleanups, f) }

func (c *conn) runCleanups() {
	for _, f := range slices.Backward(c.cleanups) {
		f()
	}
}

// enlist adds the connection to the server's live ones until remove is called. The
// returned context ends when somebody ends the connection (see [Server.End]); its
// cause is an [*Ended] then.
func (c *conn) enlist(ctx context.Context, client sshconn.Conn, who auth.Identity) (_ context.Context, remove func()) {
	ctx, end := context.WithCancelCause(ctx)
	c.server.live.add(&liveConn{
		Live: Live{
			ID:            c.id,
			Identity:      who,
			Remote:        c.wire.RemoteAddr().String(),
			ClientVersion: string(client.ClientVersion()),
			Since:         time.Now(),
		},
		bytes:    c.bytes,
		activity: c.activity,
		end: func(ended *Ended) {
			end(ended)
			c.wire.SetDeadline(time.Now().Add(endTimeout))
		},
	})
	return ctx, func() {
		c.server.live.remove(c.id)
		end(nil)
	}
}

// lost returns the line for a session that ends before its command did: the
// connection was ended, or the host has gone away. why returns the reason of the
// latter, and may be nil.
func lost(ctx context.Context, host string, why func() string) string {
	if ended := endOf(ctx); ended != nil {
		return "berth: " + ended.Error()
	}
	text := fmt.Sprintf("berth: host %q has gone away", host)
	if why != nil {
		if known := why(); known != "" {
			text += ": it " + known
		}
	}
	return text
}

// source returns the client's address.
func (c *conn) source() netip.Addr {
	tcp, ok := c.wire.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// environment returns the variables that sshd sets about a connection, and the one
// with the person's name.
func (c *conn) environment(person string) []string {
	user := labels.EnvUser + "=" + person
	remote, remotePort, err := net.SplitHostPort(c.wire.RemoteAddr().String())
	if err != nil {
		return []string{user}
	}
	local, localPort, err := net.SplitHostPort(c.wire.LocalAddr().String())
	if err != nil {
		return []string{user}
	}
	return []string{
		user,
		"SSH_CLIENT=" + remote + " " + remotePort + " " + localPort,
		"SSH_CONNECTION=" + remote + " " + remotePort + " " + local + " " + localPort,
	}
}

// recover must be deferred. It makes a panic end this connection and no other.
func (c *conn) recover() {
	if value := recover(); value != nil {
		c.panicked(value, debug.Stack())
	}
}

func (c *conn) panicked(value any, stack []byte) {
	c.logTo(c.server.Log).Error("panic", "value", value, "stack", string(stack))
	c.wire.Conn.Close()
}

// short returns a container's id as docker ps shows it.
func short(id string) string { return id[:min(len(id), 12)] }
