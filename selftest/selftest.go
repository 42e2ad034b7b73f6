// Package selftest tries on a host whatever an SSH client may do, through a
// gateway of its own: one user, one host, a port of 127.0.0.1. What it tries is
// in selftest/checks.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/selftest/checks"
)

// Options are a host to try, and how.
type Options struct {
	Config  config.Config
	Host    string
	Account string // in the host; "" is the host's own
	Bulk    int64  // bytes to send each way at once
	Log     *slog.Logger
}

// Selftest is a gateway that serves one host, and the checks to make on it.
type Selftest struct {
	gateway *ownGateway
	run     *checks.Run
}

// Start starts a gateway and finds the host. Its error says why the host
// cannot be tried at all.
func Start(ctx context.Context, o Options) (*Selftest, error) {
	gateway, err := startGateway(ctx, o.Config, o.Host, o.Account, o.Log)
	if err != nil {
		return nil, err
	}
	run, err := checks.Begin(checks.Target{
		Address:     gateway.address,
		HostKey:     gateway.hostKey,
		User:        userName,
		Key:         gateway.private,
		Route:       gateway.host.Route,
		InContainer: gateway.host.Container != "",
		Bulk:        o.Bulk,
	})
	if err != nil {
		gateway.stop()
		return nil, err
	}
	return &Selftest{gateway, run}, nil
}

// String says which host is tried, by which route and as whom.
func (s *Selftest) String() string { return s.gateway.String() }

// Close ends the gateway. Nothing of the selftest is left then, neither here
// nor, if it can still be entered, in the host.
func (s *Selftest) Close(ctx context.Context) {
	s.run.End(ctx)
	s.gateway.stop()
}

// Result is how one check ended, or several that were not made.
type Result struct {
	Name   string
	Checks int // that this is the result of
	Took   time.Duration
	Note   string // about what went well
	Err    error  // nil: ok. See [checks.IsSkipped].
}

// Failed reports whether the check was made and its host did not pass it.
func (r Result) Failed() bool { return r.Err != nil && !r.Skipped() }

// Skipped reports whether the check was not made.
func (r Result) Skipped() bool { return checks.IsSkipped(r.Err) }

// Run makes all checks, one after the other. It calls began before each and
// ended after it, and returns an error if any check failed, or if ctx ended.
func (s *Selftest) Run(ctx context.Context, began func(name string), ended func(Result)) error {
	failed, made := 0, 0
	all := checks.All()
	for i, c := range all {
		began(c.Name)
		start := time.Now()
		note, err := s.run.Perform(ctx, c)
		if ctx.Err() != nil {
			return errors.New("the selftest was interrupted")
		}
		result := Result{c.Name, 1, time.Since(start), note, err}
		ended(result)
		if !result.Skipped() {
			made++
		}
		if result.Failed() {
			failed++
		}
		if rest := len(all) - 1 - i; c.Gate && err != nil {
			ended(Result{Name: fmt.Sprintf("%d others", rest), Checks: rest, Err: checks.Skipped("until this is corrected")})
			break
		}
	}
	if failed > 0 {
		return fmt.Errorf("host %q failed %d of %d checks", s.gateway.host.Name, failed, made)
	}
	return nil
}

// GrantedAccount returns the account of the first user who may enter the host.
func GrantedAccount(users []auth.User, host string) string {
	policy, err := auth.NewPolicy(users)
	if err != nil {
		return ""
	}
	for _, user := range users {
		if lines := policy.Explain(auth.Identity{User: user.Name}, auth.Host{Name: host}); len(lines) > 0 {
			return lines[0].Account()
		}
	}
	return ""
}
