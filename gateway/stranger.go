package gateway

import (
	"context"
	"errors"
	"math"
	"runtime/debug"

	"berth/auth"
	"berth/strangers"

	"golang.org/x/crypto/ssh"
)

// password identifies a person by the password. It waits for its time, if there
// were failures, and for its turn: a hash takes a processor, and tens of MiB.
func (c *conn) password(ctx context.Context, login string, password []byte) (auth.Identity, error) {
	asked, _ := auth.ParseLogin(login) // what is no login is nobody's
	if err := c.stranger.Pace(ctx, asked.User); err != nil {
		c.banner(err.Error())
		c.tasks.Go(func() { c.wire.Close() })
		return auth.Identity{}, err
	}
	done, err := c.stranger.Turn(ctx, asked.User)
	if err != nil {
		return auth.Identity{}, err
	}
	defer done()
	who, err := c.server.Policies.Current().Password(login, password)
	if err == nil {
		c.stranger.Succeeded(asked.User)
	}
	return who, err
}

// logAttempt logs and counts what failed. "none" fails always: it asks which
// methods there are.
func (c *conn) logAttempt(meta ssh.ConnMetadata, method string, err error) {
	if err == nil || method == "none" {
		return
	}
	var tooOften *strangers.TooOften
	if errors.As(err, &tooOften) {
		c.log.Warn("turned away", "login", c.server.nameInLog(meta.User()), "why", tooOften)
		return
	}
	c.log.Info("attempt failed", "login", c.server.nameInLog(meta.User()), "method", method)
	failures := strangers.FailedKey
	if method == string(auth.ByPassword) {
		failures = strangers.FailedPassword
	}
	asked, _ := auth.ParseLogin(meta.User())
	c.failed(asked.User, failures)
}

// failed counts a failure, and logs a penalty that has begun or doubled by it.
func (c *conn) failed(user string, failures float64) {
	if penalty, told := c.stranger.Failed(user, failures); told {
		c.server.logPenalty(penalty)
	}
}

func (s *Server) logPenalty(p strangers.Penalty) {
	s.strangersLog.Warn("penalty: passwords of this source are slowed down", "source", p.Source.String(),
		"failures", math.Round(p.Failures), "gap", p.Gap)
}

// Penalties are the sources that are slowed down for their failures, the worst
// first. They fade.
func (s *Server) Penalties() []strangers.Penalty {
	s.begin.Do(s.open)
	return s.door.Penalties()
}

// LogStrangers logs how many strangers there are, the worst penalties, and what the
// process holds, without what is garbage.
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

// displaced ends a stranger's connection, and says why if the protocol lets it.
func (c *conn) displaced(why error, cut context.CancelCauseFunc) {
	c.logTo(c.server.strangersLog).Info("turned away", "why", why)
	if !c.ssh.disconnect("berth: " + why.Error()) {
		c.banner(why.Error())
	}
	c.wire.Close()
	cut(why)
}

// banner shows a client a line while it logs in.
func (c *conn) banner(line string) {
	if preAuth := c.preAuth.Load(); preAuth != nil {
		(*preAuth).SendAuthBanner("berth: " + line + "\n")
	}
}
