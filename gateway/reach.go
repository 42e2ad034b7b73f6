package gateway

import (
	"context"
	"errors"
	"time"

	"berth/auth"
	"berth/hosts"
	"berth/sshconn"
)

const (
	// DefaultWait is how long a login waits for a host that is coming back:
	// longer than a container's restart, shorter than people's patience.
	DefaultWait = 30 * time.Second

	retryEvery = 250 * time.Millisecond
)

// target is what a login comes to, and for whom.
type target struct {
	auth.Target
	person  string
	permits *auth.Permits
}

// reached is a host whose entrance is open.
type reached struct {
	host    hosts.Host
	account string
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
// a [*hosts.Unreachable], or an [*Ended].
func (c *conn) reach(ctx context.Context, client sshconn.Conn, to auth.Target, who auth.Identity) (reached, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.tasks.Go(func() {
		client.Wait()
		cancel()
	})
	for began := time.Now(); ; {
		found, err := c.tryReach(ctx, target{to, who.User, who.Permits})
		if err == nil {
			return found, nil
		}
		var unreachable *hosts.Unreachable
		if !errors.As(err, &unreachable) || time.Since(began) >= min(unreachable.Patience, c.server.Wait) {
			return reached{}, endOr(ctx, err)
		}
		select {
		case <-ctx.Done():
			return reached{}, endOr(ctx, err)
		case <-time.After(retryEvery):
		}
	}
}

// endOr is why the connection was ended, or else err.
func endOr(ctx context.Context, err error) error {
	if ended := endOf(ctx); ended != nil {
		return ended
	}
	return err
}

func (c *conn) tryReach(ctx context.Context, to target) (reached, error) {
	host, err := c.server.Hosts.Lookup(ctx, to.Host) // a name becomes a container's id
	if err != nil {
		return reached{}, err
	}
	if to.Account == "" {
		to.Account = host.Account
	}
	entrance, err := c.server.Hosts.Open(ctx, host, to.Account)
	if err != nil {
		return reached{}, err
	}
	by, err := c.enter(entrance, to)
	return reached{host, to.Account, by}, err
}

// enter makes an open entrance the mechanism that serves by it: an sshd is logged
// in to, a machine is ready. It closes an entrance that it fails to enter.
func (c *conn) enter(entrance hosts.Entrance, to target) (mechanism, error) {
	if entrance.Machine != nil {
		return be{c, entrance.Machine, to}, nil
	}
	host, err := c.dial(entrance.Sshd, to)
	return join{c, host, to}, err
}

// sayIfWaiting tells a person who has proved who it is, as the last thing
// before the login is over, why the host will take a moment. No later word
// would be seen by every client without being taken for a program's output.
func (c *conn) sayIfWaiting(who auth.Identity) {
	target, err := c.server.Policies.Current().Target(who)
	if err == nil && c.preAuth != nil && c.server.Hosts.ComingBack(target.Host) {
		c.preAuth.SendAuthBanner("berth: host " + target.Host + " is restarting; waiting for it\n")
	}
}
