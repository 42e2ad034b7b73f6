package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"berth/audit"
	"berth/auth"
	"berth/hosts"
	"berth/wire"

	"golang.org/x/crypto/ssh"
)

// Hosts is where the gateway gets hosts from. Errors of Lookup and Open are
// *[hosts.Unreachable]. It is asked by many connections at once.
type Hosts interface {
	// Lookup finds a host by its name, and asks no engine for it.
	Lookup(ctx context.Context, name string) (hosts.Host, error)

	// ComingBack reports whether a host is likely to be restarting. It answers
	// at once, by what is known already.
	ComingBack(name string) bool

	// Open opens a host that Lookup found, as an account; "" is the one that
	// the host runs as.
	Open(ctx context.Context, host hosts.Host, account string) (hosts.Entrance, error)
}

// Server is the gateway. Its fields are set before Serve and not changed.
type Server struct {
	HostKey  ssh.Signer // shown to clients
	UserCA   ssh.Signer // signs the certificates that containers trust
	Policies *auth.Policies
	Codes    Codes // nil: no code is right
	Hosts    Hosts
	Log      *slog.Logger
	Audit    *audit.Log // nil: none

	// Drain is how long connections may go on after Serve was told to stop.
	Drain time.Duration

	// Keepalive is how long a client or a host may be silent before it is
	// asked for a sign of life. After three times that it is gone.
	Keepalive time.Duration

	// Wait is how long a login waits for a host that is coming back.
	Wait time.Duration

	strangers strangers
	live      liveConns
	wires     wire.Pool // of the connections to clients and to hosts
}

// Serve accepts connections until ctx ends, then lets those there are go on
// for Drain, ends the rest, and returns when all have ended. The listener is
// closed.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	conns, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()

	var all sync.WaitGroup
	err := s.accept(ctx, listener, func(raw net.Conn) {
		all.Go(func() { s.serve(conns, raw) })
	})
	listener.Close()
	drained := time.AfterFunc(s.Drain, kill)
	defer drained.Stop()
	all.Wait()
	return err
}

// accept does nothing but accept: a client can slow down its own connection
// only. When descriptors run out it waits for some to come back.
func (s *Server) accept(ctx context.Context, listener net.Listener, serve func(net.Conn)) error {
	const maxDelay = time.Second
	for delay := time.Duration(0); ; {
		raw, err := listener.Accept()
		switch {
		case err == nil:
			delay = 0
			serve(raw)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			delay = min(max(2*delay, 5*time.Millisecond), maxDelay)
			s.Log.Warn("connection not accepted", "err", err, "retry", delay)
			time.Sleep(delay)
		}
	}
}

func (s *Server) serve(ctx context.Context, raw net.Conn) {
	c := newConn(s, raw)
	defer c.recover()
	if !s.strangers.admit(raw.RemoteAddr()) {
		c.log.Warn("refused: too many connections that are not logged in")
		c.wire.Close()
		return
	}
	c.serve(ctx)
}
