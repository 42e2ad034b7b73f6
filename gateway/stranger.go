package gateway

import (
	"context"
	"errors"
	"math"
	"runtime/debug"
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/strangers"

	"golang.org/x/crypto/ssh"
)

// password identifies a person by a password. It waits for the delay after failures,
// and for a turn, since a hash takes a processor and tens of MiB.
func (c *conn) password(ctx context.Context, a keeper.Attempt, password []byte) (keeper.Step, error) {
	asked, _ := auth.ParseLogin(a.Login) // a malformed login belongs to no user
	if err := c.pace(ctx, asked.User); err != nil {
		return keeper.Step{}, err
	}
	began := time.Now()
	done, err := c.stranger.Turn(ctx, asked.User)
	if err != nil {
		return keeper.Step{}, err
	}
	step, err := c.server.Keeper.Password(a, password)
	done()
	if errors.Is(err, auth.ErrDenied) && c.methods.Directory {
		return c.directoryPassword(ctx, a, password, began)
	}
	return step, err
}

// code identifies a person by a code after another proved step. It waits for the
// delay after failures, as a password does.
func (c *conn) code(ctx context.Context, a keeper.Attempt, code string) (keeper.Step, error) {
	asked, _ := auth.ParseLogin(a.Login)
	if a.Before == nil || asked != a.Before.Login {
		return keeper.Step{}, auth.ErrDenied
	}
	if err := c.pace(ctx, asked.User); err != nil {
		return keeper.Step{}, err
	}
	return c.server.Keeper.Code(a, code)
}

// pace waits until a user may make the next attempt from this source. If that is too
// far away, it tells the client and ends the connection.
func (c *conn) pace(ctx context.Context, user string) error {
	err := c.stranger.Pace(ctx, user)
	if err != nil {
		c.banner(err.Error())
		c.tasks.Go(func() { c.wire.Close() })
	}
	return err
}

// logAttempt logs and counts a failed attempt. A proved step that is not the last one
// is no failure. Neither is the method none, which always fails: it asks which
// methods there are.
func (c *conn) logAttempt(meta ssh.ConnMetadata, method string, err error) {
	if err == nil || method == "none" || isStep(err) {
		return
	}
	c.server.Audit.Write(audit.LoginTried{Conn: c.auditConn(), Login: c.server.Keeper.LogName(meta.User()), Method: method})
	if tooOften, ok := errors.AsType[*strangers.TooOften](err); ok {
		c.log.Warn("turned away", "login", c.server.Keeper.LogName(meta.User()), "why", tooOften)
		return
	}
	if !isFailure(err) { // reported has logged it already
		return
	}
	c.log.Info("attempt failed", "login", c.server.Keeper.LogName(meta.User()), "method", method)
	failures := strangers.FailedPassword // also for a code, and by keyboard-interactive
	if method == string(auth.ByPublicKey) {
		failures = strangers.FailedKey
	}
	asked, _ := auth.ParseLogin(meta.User())
	c.failed(asked.User, failures)
}

// failed counts a failure, and logs the penalty if that has begun or doubled.
func (c *conn) failed(user string, failures float64) {
	if penalty, told := c.stranger.Failed(user, failures); told {
		c.server.logPenalty(penalty)
	}
}

func (s *Server) logPenalty(p strangers.Penalty) {
	s.strangersLog.Warn("penalty: passwords of this source are slowed down", "source", p.Source.String(),
		"failures", math.Round(p.Failures), "gap", p.Gap)
}

// Penalties returns the sources that are slowed down after failures, the worst first.
// They end by themselves.
func (s *Server) Penalties() []strangers.Penalty {
	s.begin.Do(s.open)
	return s.door.Penalties()
}

// LogStrangers logs how many strangers there are, the worst penalties, and what
// memory and goroutines the process holds, after a garbage collection.
func (s *Server) LogStrangers() {
	const most = 20
	penalties := s.Penalties()
	inside, sources := s.door.Inside()
	debug.FreeOSMemory()
	now := holds()
	s.Log.Info("strangers", "connections", inside, "sources", sources, "penalties", len(penalties), "live", len(s.Live()),
		"served", s.serving.left(), "goroutines", now.goroutines, "memory", now.memory)
	for _, p := range penalties[:min(most, len(penalties))] {
		s.Log.Info("penalty", "source", p.Source.String(), "failures", math.Round(p.Failures), "gap", p.Gap)
	}
}

// displaced ends a stranger's connection whose place another one gets. It tells the
// client why, if the protocol allows that at this point.
func (c *conn) displaced(why error, cut context.CancelCauseFunc) {
	c.logTo(c.server.strangersLog).Info("turned away", "why", why)
	if !c.ssh.disconnect("berth: " + why.Error()) {
		c.banner(why.Error())
	}
	c.wire.Close()
	cut(why)
}

// banner shows a client a line during the login.
func (c *conn) banner(line string) {
	if preAuth := c.preAuth.Load(); preAuth != nil {
		(*preAuth).SendAuthBanner("berth: " + line + "\n")
	}
}
