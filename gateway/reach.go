package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/gate"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/sshconn"
)

const (
	// DefaultWait is how long a login waits for a host that is coming back:
	// longer than a container's restart, shorter than people's patience.
	DefaultWait = 30 * time.Second

	retryEvery = 250 * time.Millisecond
)

// errLeft is the error of reach where the client has left.
var errLeft = errors.New("the client left before its host was reached")

// target is where a connection leads, and for whom.
type target struct {
	Host, Account string
	person        string
	gate          *gate.Gate
	notice        func() []string // what the person is told at a terminal; nil for nothing
}

// reached is a host whose entrance is open. It is on the heap, as large things
// are that conn.serve knows: on the stack they would have it keep four times as
// much while the connection lasts.
type reached struct {
	host    hosts.Host
	account string
	target  auth.Target
	gate    *gate.Gate
	route   route
}

// route serves a client from a host that was reached. There are two: by route sshd the
// client is joined with the host's own sshd (sshdRoute), by routes exec and local the
// gateway is the host's sshd (machineRoute).
type route interface {
	// run returns when either side is gone and nothing of the entrance is left. When
	// ctx ends, it tells the client's sessions why (see lost) and returns.
	run(ctx context.Context, client sshconn.Conn)

	// close closes the entrance, instead of run.
	close()
}

// reach looks a host up and opens it. It waits for a host that is restarting, as long as
// the client stays. The error is for the person: a [*hosts.Unreachable], an
// [*auth.Refusal] or an [*Ended]; or it is errLeft, where nobody is left to tell.
func (c *conn) reach(ctx context.Context, client sshconn.Conn, host string, who auth.Identity) (*reached, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := client.Over(c.tasks)
	c.tasks.Go(func() {
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
		}
	})
	for began := time.Now(); ; {
		found, err := c.tryReach(ctx, host, who)
		switch {
		case err == nil:
			return found, nil
		case ctx.Err() != nil:
			return nil, endOr(ctx, errLeft)
		}
		unreachable, ok := errors.AsType[*hosts.Unreachable](err)
		if !ok || time.Since(began) >= min(unreachable.Patience, c.server.Wait) {
			return nil, endOr(ctx, withDetails(ctx, err))
		}
		select {
		case <-ctx.Done():
			return nil, endOr(ctx, errLeft)
		case <-time.After(retryEvery):
		}
	}
}

// withDetails adds the details of why a host cannot be entered, which are asked for only
// once it is not tried again.
func withDetails(ctx context.Context, err error) error {
	unreachable, ok := errors.AsType[*hosts.Unreachable](err)
	if !ok || unreachable.Details == nil {
		return err
	}
	more := unreachable.Details(ctx)
	if more == "" {
		return err
	}
	detailed := *unreachable
	detailed.Why += ": " + more
	return &detailed
}

// endOr returns why the connection was ended, or else err.
func endOr(ctx context.Context, err error) error {
	if ended := endOf(ctx); ended != nil {
		return ended
	}
	return err
}

// tryReach opens the host that the name means now.
func (c *conn) tryReach(ctx context.Context, name string, who auth.Identity) (*reached, error) {
	entered, err := c.server.Keeper.Enter(ctx, who, name)
	if err != nil {
		return nil, err
	}
	host := entered.Host
	to := target{
		Host: host.Name, Account: entered.Account, person: who.User,
		gate: &gate.Gate{Person: who.User, To: entered.Target, Limits: entered.Limits, Counts: &c.server.counts, Log: c.log, ByKey: who.Restrictions != nil, Watch: c.watcher(host.Name, entered.Recorded)},
	}
	to.notice = c.notice(to, entered.Entrance.Before)
	if entered.Recorded {
		to.notice = saysRecorded(to.notice)
	}
	route, err := c.routeTo(entered.Entrance, to)
	return &reached{host, to.Account, entered.Target, to.gate, route}, err
}

// routeTo returns the route by an open entrance. It logs in to an sshd; a machine is
// ready. If that fails, it closes the entrance.
func (c *conn) routeTo(entrance hosts.Entrance, to target) (route, error) {
	if entrance.Machine != nil {
		return machineRoute{c, entrance.Machine, to, entrance.WhyLost}, nil
	}
	host, err := c.dial(entrance.Sshd, to)
	return sshdRoute{c, host, to, entrance.WhyLost}, err
}

// sayIfWaiting tells a person, in a banner at the end of the login, that the host is
// restarting and is waited for. Later than that, no message would be shown by every client
// and not be taken for a program's output.
func (c *conn) sayIfWaiting(who auth.Identity) {
	if host := c.server.Keeper.RestartingHost(who); host != "" {
		c.banner("host " + host + " is restarting; waiting for it")
	}
}
