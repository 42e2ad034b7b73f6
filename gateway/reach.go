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
	// DefaultWait is how long a login waits for a host that is restarting: longer
	// than a container's restart, shorter than people's patience.
	DefaultWait = 30 * time.Second

	retryEvery = 250 * time.Millisecond
)

// errLeft is reach's error if the client has left.
var errLeft = errors.New("the client left before its host was reached")

// target is the host and account where a connection leads, and the person.
type target struct {
	Host, Account string
	person        string
	gate          *gate.Gate
	notice        func() []string // lines for the person's first terminal; nil for none
}

// reached is a host whose entrance is open. It is allocated on the heap, like every
// large value that conn.serve holds: on the stack it would make the goroutine keep a
// stack four times as large as long as the connection lives.
type reached struct {
	host    hosts.Host
	account string
	target  auth.Target
	gate    *gate.Gate
	route   route
}

// route serves a client at a host that was reached. There are two: for route sshd,
// the client is joined with the host's own sshd (sshdRoute); for routes exec and
// local, the gateway itself is the host's SSH server (machineRoute).
type route interface {
	// run serves the client until either side is gone, and returns when nothing of
	// the entrance is left. When ctx ends, it tells the client's sessions why (see
	// lost) and returns.
	run(ctx context.Context, client sshconn.Conn)

	// close closes the entrance. It is called if run never is.
	close()
}

// reach looks a host up and opens it. While the host is restarting it tries again, as
// long as the client stays. The error is an [*hosts.Unreachable], an [*auth.Refusal]
// or an [*Ended], whose text is for the person, or errLeft if the client has left.
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

// withDetails adds to the error why the host cannot be entered. It is called only
// after the last try, since finding the details may take time.
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

// endOr returns why the connection was ended, or err if it was not.
func endOr(ctx context.Context, err error) error {
	if ended := endOf(ctx); ended != nil {
		return ended
	}
	return err
}

// tryReach opens the host that has this name now.
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

// routeTo returns the route through an open entrance. It logs in if that leads to an
// sshd. If the login fails, it closes the entrance.
func (c *conn) routeTo(entrance hosts.Entrance, to target) (route, error) {
	if entrance.Machine != nil {
		return machineRoute{c, entrance.Machine, to, entrance.WhyLost}, nil
	}
	host, err := c.dial(entrance.Sshd, to)
	return sshdRoute{c, host, to, entrance.WhyLost}, err
}

// sayIfWaiting shows a banner at the end of the login if the host is restarting and
// the login will wait for it. After the login there is no message that every client
// shows and no program takes for output.
func (c *conn) sayIfWaiting(who auth.Identity) {
	if host := c.server.Keeper.RestartingHost(who); host != "" {
		c.banner("host " + host + " is restarting; waiting for it")
	}
}
