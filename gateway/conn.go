package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"berth/hosts"
	"berth/session"
	"berth/wire"

	"golang.org/x/crypto/ssh"
)

// conn is one connection of a person. Its fields are set in the order in which
// serve comes to them, and do not change after that.
type conn struct {
	server *Server
	wire   *wire.Conn
	log    *slog.Logger
	tasks  *session.Tasks

	authenticated func() // no longer a stranger
	preAuth       ssh.ServerPreAuthConn
}

func newConn(s *Server, raw net.Conn) *conn {
	c := &conn{
		server: s,
		wire:   s.wires.New(raw),
		log:    s.Log.With("conn", rand.Text()[:8], "remote", raw.RemoteAddr().String()),
	}
	c.authenticated = sync.OnceFunc(func() { s.strangers.release(raw.RemoteAddr()) })
	c.tasks = &session.Tasks{Panicked: c.panicked}
	return c
}

// serve is the life of a connection, top to bottom. When it returns, nothing
// of the connection is left.
func (c *conn) serve(ctx context.Context) {
	ended := make(chan struct{})
	defer func() { c.log.Debug("closed") }()
	defer c.tasks.Wait()
	defer close(ended)
	defer c.wire.Close()
	defer c.authenticated()
	stop := context.AfterFunc(ctx, func() { c.wire.Conn.Close() })
	defer stop()

	client, grant, err := c.handshake() // RFC 4253 and 4252
	if err != nil {
		c.log.Info("not logged in", "err", err)
		return
	}
	defer client.Close()
	c.authenticated()

	name, account, err := grant.Target() // what the login asks for, and may have
	if err != nil {
		c.refuse(client, err)
		return
	}
	c.log = c.log.With("user", grant.User(), "host", name)

	c.tasks.Go(func() { c.keepAlive(end{client, c.wire}, "client", ended) })
	reached, err := c.reach(ctx, client, target{name, account, grant.User()})
	if err != nil {
		c.refuse(client, err)
		return
	}

	c.log.Info("entered", "route", reached.host.Route, "account", reached.account, "container", short(reached.host.Container))
	began := time.Now()
	if reached.sshd != nil { // RFC 4254, until either side is gone
		c.join(client, *reached.sshd, grant.User(), lost(name))
	} else {
		c.be(ctx, client, reached.machine, grant.User(), lost(name))
	}
	c.log.Info("left", "after", time.Since(began).Round(time.Millisecond))
}

// lost is what a person is told when the host goes away.
func lost(host string) string { return fmt.Sprintf("berth: host %q has gone away", host) }

// be serves the client from a machine.
func (c *conn) be(ctx context.Context, client session.Conn, machine session.Machine, person, lost string) {
	defer machine.Close()
	session.Serve(ctx, client, machine, session.Options{
		Env:   c.environment(person),
		Ready: c.wire.Ready,
		Lost:  lost,
		Log:   c.log,
		Tasks: c.tasks,
	})
}

// environment is what sshd says about a connection, and whose it is.
func (c *conn) environment(person string) []string {
	user := hosts.EnvUser + "=" + person
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
