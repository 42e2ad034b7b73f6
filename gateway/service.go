package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keeper"

	"golang.org/x/crypto/ssh"
)

// deniedAfter is how long a password takes at least that a directory is asked about and
// that opens nothing, so that the time does not tell whether the directory has
// computed a hash.
const deniedAfter = time.Second

// passwordElsewhere identifies a person by a password that the directory judges. It
// waits for its turn to ask.
func (c *conn) passwordElsewhere(ctx context.Context, a keeper.Attempt, password []byte, began time.Time) (keeper.Step, error) {
	asked, _ := auth.ParseLogin(a.Login)
	done, err := c.stranger.Ask(ctx, asked.User)
	if err != nil {
		return keeper.Step{}, err
	}
	step, err := c.server.Keeper.PasswordElsewhere(ctx, a, password)
	done()
	if err == nil || !errors.Is(err, auth.ErrDenied) {
		return step, c.told(err)
	}
	select {
	case <-time.After(time.Until(began.Add(deniedAfter))):
	case <-ctx.Done():
	}
	return keeper.Step{}, err
}

// told logs that a service gave no answer, and says so to whoever waits for it, which
// is the same for everybody.
func (c *conn) told(err error) error {
	none := (*keeper.NoAnswer)(nil)
	if errors.As(err, &none) {
		c.log.Error("no answer", "service", none.Service, "err", none.Err)
		who := map[auth.Service]string{auth.LDAP: "the directory of people", auth.OIDC: "the provider of logins by a browser"}[none.Service]
		c.banner(who + " does not answer; try again later, or use a key")
	}
	return err
}

// isFailure reports whether an attempt that came to nothing counts against who made
// it.
func isFailure(err error) bool {
	none := (*keeper.NoAnswer)(nil)
	return !errors.As(err, &none)
}

// approved identifies a person by an approval in a browser. It shows where to approve
// which code, and waits until somebody did, or until the client is gone.
func (c *conn) approved(ctx context.Context, a keeper.Attempt, ask ssh.KeyboardInteractiveChallenge) (keeper.Step, error) {
	login, _ := auth.ParseLogin(a.Login)
	if err := c.pace(ctx, login.User); err != nil {
		return keeper.Step{}, err
	}
	done, err := c.stranger.Ask(ctx, login.User)
	if err != nil {
		return keeper.Step{}, err
	}
	asked, err := c.server.Keeper.Ask(ctx, a)
	done()
	if err != nil {
		return keeper.Step{}, c.told(err)
	}
	c.moreTime(keeper.ApprovalTime)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	var step keeper.Step // after answered
	c.tasks.Go(func() {
		var err error
		step, err = c.server.Keeper.Await(ctx, asked.Number)
		answered <- err
	})
	if _, err := askOne(ask, fmt.Sprintf("To log in, open %s and approve the code %s there. Then press Enter: ", asked.Page, asked.Code)); err != nil {
		return keeper.Step{}, err
	}
	select {
	case err := <-answered:
		return step, c.told(err)
	case <-ctx.Done():
		return keeper.Step{}, context.Cause(ctx)
	}
}
