package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/gate"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/logqueue"
	"github.com/berth-ssh/berth/recording"
	"github.com/berth-ssh/berth/strangers"
	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
)

// Keeper decides who may enter what, and opens it. It is a [*keeper.Keeper] of this
// process, or a client of one in another process. Many connections call it at once.
type Keeper interface {
	// Key, Password and Code report whether a credential is a step of a login.
	Key(a keeper.Attempt, key ssh.PublicKey, proved bool) (keeper.Step, error)
	Password(a keeper.Attempt, password []byte) (keeper.Step, error)
	Code(a keeper.Attempt, code string) (keeper.Step, error)

	// DirectoryPassword asks the directory about a password that Password denied.
	// RequestApproval asks the OpenID provider for an approval in a browser, and
	// AwaitApproval waits for it. The errors may be a [*keeper.NoAnswer].
	DirectoryPassword(ctx context.Context, a keeper.Attempt, password []byte) (keeper.Step, error)
	RequestApproval(ctx context.Context, a keeper.Attempt) (keeper.Approval, error)
	AwaitApproval(ctx context.Context, number uint64) (keeper.Step, error)

	// LoginMethods are those by which a login may begin, besides a key.
	LoginMethods() keeper.LoginMethods

	// Recheck returns who somebody is now, by what the directory says now.
	Recheck(ctx context.Context, who auth.Identity) (auth.Identity, error)

	// LogName is what the log shows of a user name that a client sent.
	LogName(given string) string

	// RestartingHost is the host that a login is about, if it is restarting, so
	// that the login will wait for it; else "".
	RestartingHost(who auth.Identity) (host string)

	// Admit decides which host a login is about, and Enter opens it.
	Admit(ctx context.Context, who auth.Identity) (keeper.Admitted, error)
	Enter(ctx context.Context, who auth.Identity, host string) (*keeper.Entered, error)

	// CurrentGrant is the grant that holds now for a connection that has entered a
	// host as an account. The error says why none does.
	CurrentGrant(who auth.Identity, host auth.Host, account string) (auth.Grant, error)
}

// Recordings is where terminals are recorded.
type Recordings interface {
	// Start begins a recording. Where sessions may go on without, it and the error
	// are nil.
	Start(recording.Session) (*recording.Recording, error)
}

// Server is the gateway. Its fields are set before Serve and not changed.
type Server struct {
	Keeper Keeper
	Log    *slog.Logger
	Audit  *audit.Log // nil: none

	// HostKeys returns the keys as they are now. With others, those for clients that
	// know no ed25519 are made where they are missing.
	HostKeys func(others bool) (HostKeys, error)

	// Recordings are where terminals are recorded, if the keeper says so.
	Recordings Recordings

	// Drain is how long connections may go on after Serve was told to stop.
	Drain time.Duration

	// Keepalive is how long a client or a host may be silent before it is
	// asked for a sign of life. After three times that it is gone.
	Keepalive time.Duration

	// Wait is how long a login waits for a host that is coming back.
	Wait time.Duration

	// Exempt are the networks whose strangers are not counted by their source, and
	// whose failures are not counted.
	Exempt []netip.Prefix

	begin        sync.Once    // sets these two, by open
	strangersLog *slog.Logger // Log, limited, for what strangers make it say
	door         *strangers.Door

	aside      atomic.Pointer[time.Duration] // see StepAside; nil until then
	serving    served
	turnedAway atomic.Int32 // clients that are being told why they are not served
	live       liveConns
	terminals  terminals
	counts     gate.Counts
	news       news
	wires      wire.Pool // of the connections to clients and to hosts
}

func (s *Server) open() {
	s.strangersLog = slog.New(logqueue.Limit(s.Log.Handler(), "strangers"))
	s.door = strangers.New(s.Exempt)
}

// Serve accepts connections until ctx ends. Then it goes on to accept, but only
// to say that it stops; it lets the connections there are go on for Drain, tells
// the rest why they end, and returns within Drain and stopTimeout, whatever the
// clients do. It returns [ErrSpent] where another process should take its place. The
// listener is closed. See [Server.StepAside] for another end.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	conns, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	s.begin.Do(s.open)
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(watching, listener)
	}()
	defer func() {
		unwatch()
		<-watched
	}()
	failed := make(chan error, 1)
	go func() { failed <- s.accept(listener, func(raw net.Conn) { s.meet(conns, raw) }) }()
	defer listener.Close()
	select {
	case err := <-failed:
		if linger := s.aside.Load(); linger != nil {
			return s.linger(ctx, cut, *linger)
		}
		return errors.Join(err, s.drain(cut))
	case <-ctx.Done():
	}
	return s.drain(cut)
}

// accept does nothing but accept, until the listener is closed: a client can slow
// down its own connection only. When descriptors run out it waits for some to
// come back.
func (s *Server) accept(listener net.Listener, meet func(net.Conn)) error {
	const maxDelay = time.Second
	for delay := time.Duration(0); ; {
		raw, err := listener.Accept()
		switch {
		case err == nil:
			delay = 0
			meet(raw)
		case errors.Is(err, net.ErrClosed):
			return err
		case errors.Is(err, os.ErrDeadlineExceeded): // the watchdog has interrupted it
			if s.isIdle() {
				return ErrSpent
			}
			listener.(interruptible).SetDeadline(time.Time{})
		default:
			delay = min(max(2*delay, 5*time.Millisecond), maxDelay)
			s.Log.Warn("connection not accepted", "err", err, "retry", delay)
			time.Sleep(delay)
		}
	}
}

// meet serves a client that has connected, in a goroutine of its own, or tells it
// why not.
func (s *Server) meet(ctx context.Context, raw net.Conn) {
	c := newConn(s, raw)
	if !s.serving.add(c) {
		go s.turnAway(raw, byApplication, "the gateway is stopping; try again in a moment")
		return
	}
	go func() {
		defer s.serving.remove(c)
		s.serve(ctx, c)
	}()
}

func (s *Server) serve(ctx context.Context, c *conn) {
	defer c.recover()
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	stranger, err := s.door.Enter(c.wire.RemoteAddr(), func(why error) { c.displaced(why, cut) })
	if err != nil {
		c.log.Warn("turned away", "why", err)
		s.turnAway(c.wire.Conn, tooManyConnections, err.Error())
		return
	}
	c.stranger = stranger
	c.ssh.rekeys = newRekeys(ctx, stranger)
	defer c.ssh.rekeys.close()
	c.serve(ctx)
}
