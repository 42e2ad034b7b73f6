package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"berth/auth"
	"berth/labels"
	"berth/sshconn"
	"berth/wire"

	"golang.org/x/crypto/ssh"
)

// conn is one connection of a person. Only serve and what it calls change it;
// what others may know of it stands in the server's live connections.
type conn struct {
	server *Server
	id     string // for the log and for the server's live connections
	wire   *wire.Conn
	bytes  *counted // wire, as x/crypto reads and writes it
	log    *slog.Logger
	tasks  *sshconn.Tasks

	authenticated func() // no longer a stranger
	preAuth       ssh.ServerPreAuthConn
}

func newConn(s *Server, raw net.Conn) *conn {
	c := &conn{server: s, id: rand.Text()[:8], wire: s.wires.New(raw)}
	c.bytes = &counted{Conn: c.wire}
	c.log = s.Log.With("conn", c.id, "remote", raw.RemoteAddr().String())
	c.authenticated = sync.OnceFunc(func() { s.strangers.release(raw.RemoteAddr()) })
	c.tasks = &sshconn.Tasks{Panicked: c.panicked}
	return c
}

// serve is the life of a connection, top to bottom. When it returns, nothing
// of the connection is left. The end of ctx cuts the connection.
func (c *conn) serve(ctx context.Context) {
	ended := make(chan struct{})
	defer func() { c.log.Debug("closed") }()
	defer c.tasks.Wait()
	defer close(ended)
	defer c.wire.Close()
	defer c.authenticated()
	stop := context.AfterFunc(ctx, func() { c.wire.Conn.Close() })
	defer stop()

	client, who, err := c.handshake() // RFC 4253 and 4252
	if err != nil {
		c.log.Info("not logged in", "err", err)
		return
	}
	defer client.Close()
	c.authenticated()
	ctx, leave := c.enlist(ctx, client, who) // from now on others see it, and may end it
	defer leave()
	if err := c.auditLogin(client, who); err != nil {
		c.refuse(client, err)
		return
	}

	target, err := c.server.Policies.Current().Target(who) // what the login asks for, and may have
	if err != nil {
		c.turnAway(client, who, err)
		return
	}
	c.log = c.log.With("user", who.User, "host", target.Host)

	c.tasks.Go(func() { c.keepAlive(end{client, c.wire}, "client", ended) })
	reached, err := c.reach(ctx, client, target, who)
	if err != nil {
		c.turnAway(client, who, err)
		return
	}

	audited, err := c.auditEntry(who, reached)
	if err != nil {
		reached.by.close()
		c.turnAway(client, who, err)
		return
	}

	c.log.Info("entered", "route", reached.host.Route, "account", reached.account, "container", short(reached.host.Container))
	c.server.live.entered(c.id, reached)
	began := time.Now()
	reached.by.run(ctx, audited.client(c.permitted(who.Permits).client(client))) // RFC 4254, until either side is gone: see join and be
	c.log.Info("left", "after", time.Since(began).Round(time.Millisecond))
	audited.left(time.Since(began), endOf(ctx))
}

// enlist makes a connection one of the server's live ones, until leave is
// called. The context that it returns ends when somebody ends the connection
// (see [Server.End]); its cause is an [*Ended] then.
func (c *conn) enlist(ctx context.Context, client sshconn.Conn, who auth.Identity) (_ context.Context, leave func()) {
	ctx, end := context.WithCancelCause(ctx)
	c.server.live.add(&liveConn{
		Live: Live{
			ID:            c.id,
			Identity:      who,
			Remote:        c.wire.RemoteAddr().String(),
			ClientVersion: string(client.ClientVersion()),
			Since:         time.Now(),
		},
		bytes: c.bytes,
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

// lost is what a person is told whose sessions are over although no command has
// ended: the connection was ended, or else the host has gone away.
func lost(ctx context.Context, host string) string {
	if ended := endOf(ctx); ended != nil {
		return "berth: " + ended.Error()
	}
	return fmt.Sprintf("berth: host %q has gone away", host)
}

// permitted holds the connection to what a credential permits.
func (c *conn) permitted(by *auth.Permits) permitted { return permitted{by, c.tasks, c.log} }

// source is the address that the connection comes from.
func (c *conn) source() netip.Addr { return addressOf(c.wire.RemoteAddr()) }

func addressOf(remote net.Addr) netip.Addr {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// environment is what sshd says about a connection, and whose it is.
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

// recover is deferred: a panic ends this connection and no other.
func (c *conn) recover() {
	if value := recover(); value != nil {
		c.panicked(value, debug.Stack())
	}
}

func (c *conn) panicked(value any, stack []byte) {
	c.log.Error("panic", "value", value, "stack", string(stack))
	c.wire.Conn.Close()
}

// short is a container's id as people know it.
func short(id string) string { return id[:min(len(id), 12)] }
