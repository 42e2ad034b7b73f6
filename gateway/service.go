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

// deniedAfter is the least time that a denied password takes, so that the time does
// not tell whether the directory has computed a hash.
const deniedAfter = time.Second

// directoryPassword identifies a person by a password that the directory checks. It
// first waits for a turn to ask.
func (c *conn) directoryPassword(ctx context.Context, a keeper.Attempt, password []byte, began time.Time) (keeper.Step, error) {
	asked, _ := auth.ParseLogin(a.Login)
	done, err := c.stranger.Ask(ctx, asked.User)
	if err != nil {
		return keeper.Step{}, err
	}
	step, err := c.server.Keeper.DirectoryPassword(ctx, a, password)
	done()
	if err == nil || !errors.Is(err, auth.ErrDenied) {
		return step, c.reported(err)
	}
	select {
	case <-time.After(time.Until(began.Add(deniedAfter))):
	case <-ctx.Done():
	}
	return keeper.Step{}, err
}

// reported returns err. If a service gave no answer, it also logs that, and tells the
// client in a banner with the same words for everybody.
func (c *conn) reported(err error) error {
	if none, ok := errors.AsType[*keeper.NoAnswer](err); ok {
		c.log.Error("no answer", "service", none.Service, "err", none.Err)
		who := map[auth.Service]string{auth.LDAP: "the directory of people", auth.OIDC: "the provider of logins by a browser"}[none.Service]
		c.banner(who + " does not answer; try again later, or use a key")
	}
	return err
}

// isFailure reports whether a failed attempt counts against its user and its source.
// It does not if a service gave no answer.
func isFailure(err error) bool {
	_, ok := errors.AsType[*keeper.NoAnswer](err)
	return !ok
}

// askApproval identifies a person by an approval in a browser. It shows the page and
// the code to approve there, and waits until that is done or the client is gone.
func (c *conn) askApproval(ctx context.Context, a keeper.Attempt, ask ssh.KeyboardInteractiveChallenge) (keeper.Step, error) {
	login, _ := auth.ParseLogin(a.Login)
	if err := c.pace(ctx, login.User); err != nil {
		return keeper.Step{}, err
	}
	done, err := c.stranger.Ask(ctx, login.User)
	if err != nil {
		return keeper.Step{}, err
	}
	approval, err := c.server.Keeper.RequestApproval(ctx, a)
	done()
	if err != nil {
		return keeper.Step{}, c.reported(err)
	}
	c.moreTime(keeper.ApprovalTime)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	var step keeper.Step // valid once answered is closed
	c.tasks.Go(func() {
		var err error
		step, err = c.server.Keeper.AwaitApproval(ctx, approval.Number)
		answered <- err
	})
	if _, err := askOne(ask, fmt.Sprintf("To log in, open %s and approve the code %s there. Then press Enter: ", approval.Page, approval.Code)); err != nil {
		return keeper.Step{}, err
	}
	select {
	case err := <-answered:
		return step, c.reported(err)
	case <-ctx.Done():
		return keeper.Step{}, context.Cause(ctx)
	}
}
