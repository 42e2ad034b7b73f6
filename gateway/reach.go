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

// errLeft is why nobody is there to be told why there is no host.
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
	by      mechanism
}

// mechanism is one of the two ways to serve a client from a host that was
// reached, join and be. Its run, called once, returns when either side is gone
// and nothing of the entrance is left. When ctx ends, it tells the client's
// sessions why (see lost) and returns.
type mechanism interface {
	run(ctx context.Context, client sshconn.Conn)

	// close closes the entrance, instead of run.
	close()
}

// reach looks a host up and opens the way into it. One that is coming back is
// waited for; its client waits, too, or goes away. The error is for the person:
// a [*hosts.Unreachable], an [*auth.Refusal], or an [*Ended]; or it is errLeft, for nobody.
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
		var unreachable *hosts.Unreachable
		if !errors.As(err, &unreachable) || time.Since(began) >= min(unreachable.Patience, c.server.Wait) {
			return nil, endOr(ctx, withDetails(ctx, err))
		}
		select {
		case <-ctx.Done():
			return nil, endOr(ctx, errLeft)
		case <-time.After(retryEvery):
		}
	}
}

// withDetails asks what more is known of why a host cannot be entered, now that it is
// not tried again.
func withDetails(ctx context.Context, err error) error {
	var unreachable *hosts.Unreachable
	if !errors.As(err, &unreachable) || unreachable.Details == nil {
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

// endOr is why the connection was ended, or else err.
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
	by, err := c.enter(entered.Entrance, to)
	return &reached{host, to.Account, entered.Target, to.gate, by}, err
}

// enter makes an open entrance the mechanism that serves by it: an sshd is logged
// in to, a machine is ready. It closes an entrance that it fails to enter.
func (c *conn) enter(entrance hosts.Entrance, to target) (mechanism, error) {
	if entrance.Machine != nil {
		return be{c, entrance.Machine, to, entrance.WhyLost}, nil
	}
	host, err := c.dial(entrance.Sshd, to)
	return join{c, host, to}, err
}

// sayIfWaiting tells a person who has proved who it is, as the last thing
// before the login is over, why the host will take a moment. No later word
// would be seen by every client without being taken for a program's output.
func (c *conn) sayIfWaiting(who auth.Identity) {
	if host := c.server.Keeper.RestartingHost(who); host != "" {
		c.banner("host " + host + " is restarting; waiting for it")
	}
}
