package gateway

import (
	"context"
	"errors"
	"time"

	"berth/auth"
	"berth/hosts"
	"berth/machine"
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
	person string
}

// reached is an open way into a host: one of sshd and machine is set.
type reached struct {
	host    hosts.Host
	account string
	sshd    *end
	machine machine.Machine
}

// reach looks a host up and opens the way into it. One that is coming back is
// waited for; its client waits, too, or goes away.
func (c *conn) reach(ctx context.Context, client sshconn.Conn, to target) (reached, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.tasks.Go(func() {
		client.Wait()
		cancel()
	})
	for began := time.Now(); ; {
		found, err := c.tryReach(ctx, to)
		var unreachable *hosts.Unreachable
		if err == nil || !errors.As(err, &unreachable) || time.Since(began) >= min(unreachable.Patience, c.server.Wait) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, err
		case <-time.After(retryEvery):
		}
	}
}

func (c *conn) tryReach(ctx context.Context, to target) (reached, error) {
	host, err := c.server.Hosts.Lookup(ctx, to.Host) // a name becomes a container's id
	if err != nil {
		return reached{}, err
	}
	if to.Account == "" {
		to.Account = host.Account
	}
	route, err := c.server.Hosts.Open(ctx, host, to.Account)
	if err != nil {
		return reached{}, err
	}
	found := reached{host: host, account: to.Account, machine: route.Machine}
	if route.Sshd != nil {
		inner, err := c.dial(route.Sshd, to)
		if err != nil {
			return reached{}, err
		}
		found.sshd = &inner
	}
	return found, nil
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
