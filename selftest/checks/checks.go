// Package checks is what a selftest tries on a host: every check is a row, from
// a login to what VS Code needs.
//
// [Begin] prepares a [Run] against a host behind a gateway, [Run.Perform] tries
// one [Check], and [Run.End] leaves nothing behind. A check has a connection of
// its own, a [visit]; clients.go runs this machine's own OpenSSH programs, and
// each other file has the checks of one matter.
package checks

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/screen"
)

// Check is one thing to try, within a time of its own.
type Check struct {
	Name string
	Gate bool // while it fails, no later check can tell anything

	timeout time.Duration
	run     func(context.Context, *visit) (note string, err error)
}

// All returns every check, in the order in which they are tried.
func All() []Check {
	return slices.Concat(entryChecks(), sessionChecks(), fileChecks(), forwardChecks(), bulkChecks(), vscodeChecks())
}

// Target is a host behind a gateway, and the login for it.
type Target struct {
	Address string        // of the gateway, host:port
	HostKey ssh.PublicKey // the gateway's
	User    string
	Key     ed25519.PrivateKey // the user's

	Route       string // of the host
	InContainer bool   // the host is a container of the gateway's engine

	Bulk int64 // bytes to send each way at once
}

// Run is a run of checks on one host.
type Run struct {
	target  Target
	clients clients

	there string // a directory in the host; "" until a check has made it
}

// Begin prepares a run. It connects to nothing yet.
func Begin(target Target) (*Run, error) {
	clients, err := newClients(target)
	if err != nil {
		return nil, err
	}
	return &Run{target: target, clients: clients}, nil
}

// Perform makes a connection and tries one thing on it. The note says more
// about what went well. An error is one line for people, and [IsSkipped] tells
// whether it is why the check was not made.
func (r *Run) Perform(ctx context.Context, c Check) (note string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	v, err := r.enter(ctx)
	if err == nil {
		note, err = c.run(ctx, v)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", fmt.Errorf("not done within %v: %w", c.timeout, err)
	}
	return note, err
}

// leaveTimeout is how long, at most, the removal of the directory in the host
// may take.
const leaveTimeout = 10 * time.Second

// End removes what the run made here and, if the host can still be entered,
// there. It does so also where ctx has ended.
func (r *Run) End(ctx context.Context) {
	defer os.RemoveAll(r.clients.dir)
	if r.there == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if v, err := r.enter(ctx); err == nil {
		v.sh("rm -rf "+screen.Quote(r.there), nil)
	}
}

// Skipped is why a check was not made.
type Skipped string

func (s Skipped) Error() string { return string(s) }

// IsSkipped reports whether an error of [Run.Perform] only says why the check
// was not made.
func IsSkipped(err error) bool {
	_, ok := errors.AsType[Skipped](err)
	return ok
}

// failed is the line of a failure: what was wanted, what came, what to do.
func failed(wanted string, got any, todo string) error {
	line := fmt.Sprintf("wanted %s, got %v", wanted, got)
	if todo != "" {
		line += ": " + todo
	}
	return errors.New(line)
}

// oneLine returns what a host said as one line that can be shown.
func oneLine(text string) string { return printable.Line(text, 300) }
