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

// Keeper decides who may enter what, and opens hosts. It is a [*keeper.Keeper] of
// this process, or a client of one in another process. It must be safe for concurrent
// use.
type Keeper interface {
	// Key, Password and Code report whether a credential is valid for a step of a
	// login.
	Key(a keeper.Attempt, key ssh.PublicKey, proved bool) (keeper.Step, error)
	Password(a keeper.Attempt, password []byte) (keeper.Step, error)
	Code(a keeper.Attempt, code string) (keeper.Step, error)

	// DirectoryPassword asks the directory about a password that Password has denied.
	// RequestApproval asks the OpenID provider for an approval in a browser, and
	// AwaitApproval waits for it. Each error may be a [*keeper.NoAnswer].
	DirectoryPassword(ctx context.Context, a keeper.Attempt, password []byte) (keeper.Step, error)
	RequestApproval(ctx context.Context, a keeper.Attempt) (keeper.Approval, error)
	AwaitApproval(ctx context.Context, number uint64) (keeper.Step, error)

	// LoginMethods returns the methods by which a login may begin, besides a key.
	LoginMethods() keeper.LoginMethods

	// Recheck returns the identity as the directory describes it now.
	Recheck(ctx context.Context, who auth.Identity) (auth.Identity, error)

	// LogName returns how the log shows a user name that a client sent.
	LogName(given string) string

	// RestartingHost returns the host of a login if the host is restarting, so that
	// the login will wait for it; otherwise "".
	RestartingHost(who auth.Identity) (host string)

	// Admit decides which host a login leads to, and Enter opens it.
	Admit(ctx context.Context, who auth.Identity) (keeper.Admitted, error)
	Enter(ctx context.Context, who auth.Identity, host string) (*keeper.Entered, error)

	// CurrentGrant returns the present grant for a connection that has entered a host
	// as an account. The error says why there is none any more.
	CurrentGrant(who auth.Identity, host auth.Host, account string) (auth.Grant, error)
}

// Recordings stores recordings of terminals.
type Recordings interface {
	// Start begins a recording. It returns nil and no error if recording failed and
	// sessions may go on without one.
	Start(recording.Session) (*recording.Recording, error)
}

// Server is the gateway. Its fields must be set before Serve, and not changed later.
type Server struct {
	Keeper Keeper
	Log    *slog.Logger
	Audit  *audit.Log // nil for none

	// HostKeys returns the present keys. If others is true, it also makes the missing
	// ones of those for clients that do not know ed25519.
	HostKeys func(others bool) (HostKeys, error)

	// Recordings stores terminals that are to be recorded, which the keeper decides.
	Recordings Recordings

	// Drain is how long connections may go on after Serve's context has ended.
	Drain time.Duration

	// Keepalive is how long a client or a host may be silent before it is asked for a
	// sign of life. After three times that it is taken for gone.
	Keepalive time.Duration

	// Wait is how long a login waits for a host that is restarting.
	Wait time.Duration

	// Exempt are networks whose strangers are not limited by source, and whose
	// failures are not counted.
	Exempt []netip.Prefix

	begin        sync.Once    // runs open, which sets the next two
	strangersLog *slog.Logger // Log with a rate limit, for lines that strangers can cause
	door         *strangers.Door

	aside      atomic.Pointer[time.Duration] // set by StepAside; nil until then
	serving    served
	turnedAway atomic.Int32 // clients that are being told why they are not served
	live       liveConns
	terminals  terminals
	counts     gate.Counts
	news       news
	wires      wire.Pool // for the connections to clients and to hosts
}

func (s *Server) open() {
	s.strangersLog = slog.New(logqueue.Limit(s.Log.Handler(), "strangers"))
	s.door = strangers.New(s.Exempt)
}

// Serve accepts and serves connections until ctx ends. Then it still accepts, but
// only to tell clients that it stops; it lets the existing connections go on for
// Drain, tells the remaining ones why they end, and returns within Drain plus
// stopTimeout, whatever the clients do. It closes the listener. It returns [ErrSpent]
// if another process should take its place. For another way to stop see
// [Server.StepAside].
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

// accept accepts connections until the listener is closed, and does nothing else, so
// that a client can slow down only its own connection. When descriptors run out it
// tries again later.
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
		case errors.Is(err, os.ErrDeadlineExceeded): // set by the watchdog
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

// meet serves a new client in a goroutine of its own, or tells it why it is not
// served.
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
