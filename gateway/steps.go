package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keeper"

	"golang.org/x/crypto/ssh"
)

// noTouchRequired lets x/crypto accept a security key that was not touched.
const noTouchRequired = "no-touch-required"

// steps are the callbacks for the methods by which a login may begin, or go on after a
// step that was proved. What was proved travels in them, and nowhere else.
// Keyboard-interactive (RFC 4256) asks for a code if that is one of the methods; else for
// an approval or a password, or for either.
func (c *conn) steps(ctx context.Context, before *auth.Identity, methods ...auth.Method) ssh.ServerAuthCallbacks {
	var next ssh.ServerAuthCallbacks
	may := func(method auth.Method) bool { return slices.Contains(methods, method) }
	if may(auth.ByPublicKey) {
		next.PublicKeyCallback = c.keyOffered(before)
	}
	if may(auth.ByPassword) {
		next.PasswordCallback = c.passwordGiven(ctx, before)
	}
	switch {
	case may(auth.ByCode):
		next.KeyboardInteractiveCallback = c.asking(ctx, before, c.askCode)
	case may(auth.ByApproval) && may(auth.ByPassword):
		next.KeyboardInteractiveCallback = c.asking(ctx, before, c.askEither)
	case may(auth.ByApproval):
		next.KeyboardInteractiveCallback = c.asking(ctx, before, c.askApproval)
	case may(auth.ByPassword):
		next.KeyboardInteractiveCallback = c.asking(ctx, before, c.askPassword)
	}
	return next
}

// attempt is an attempt of the client, after a step that was proved.
func (c *conn) attempt(meta ssh.ConnMetadata, before *auth.Identity) keeper.Attempt {
	return keeper.Attempt{Login: meta.User(), From: c.source(), Before: before}
}

// beforeKey is where the step before a key travels (ssh.Permissions).
type beforeKey struct{}

// keyOffered answers whether a key could log in. A client may ask about any key; only a
// signature proves that it has it.
func (c *conn) keyOffered(before *auth.Identity) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		step, err := c.server.Keeper.Key(c.attempt(meta, before), key, false)
		if err != nil {
			return nil, err
		}
		permissions := &ssh.Permissions{ExtraData: map[any]any{beforeKey{}: before}}
		if step.Who.NoTouch {
			permissions.Extensions = map[string]string{noTouchRequired: ""}
		}
		return permissions, nil
	}
}

// keyProved takes the step of a key whose signature was right.
func (c *conn) keyProved(ctx context.Context) func(ssh.ConnMetadata, ssh.PublicKey, *ssh.Permissions, string) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, key ssh.PublicKey, offered *ssh.Permissions, _ string) (*ssh.Permissions, error) {
		before, _ := offered.ExtraData[beforeKey{}].(*auth.Identity)
		step, err := c.server.Keeper.Key(c.attempt(meta, before), key, true)
		return c.proved(ctx, step, err)
	}
}

func (c *conn) passwordGiven(ctx context.Context, before *auth.Identity) func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		step, err := c.password(ctx, c.attempt(meta, before), password)
		return c.proved(ctx, step, err)
	}
}

// question asks a person by keyboard-interactive, and identifies them by the answer.
type question func(ctx context.Context, a keeper.Attempt, ask ssh.KeyboardInteractiveChallenge) (keeper.Step, error)

func (c *conn) asking(ctx context.Context, before *auth.Identity, question question) func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		step, err := question(ctx, c.attempt(meta, before), ask)
		return c.proved(ctx, step, err)
	}
}

func (c *conn) askPassword(ctx context.Context, a keeper.Attempt, ask ssh.KeyboardInteractiveChallenge) (keeper.Step, error) {
	answer, err := askOne(ask, "Password: ")
	if err != nil {
		return keeper.Step{}, err
	}
	return c.password(ctx, a, []byte(answer))
}

// askEither asks for a password, or for an approval where the answer is empty. It asks
// everybody the same, so that strangers do not learn which of the two a user has.
func (c *conn) askEither(ctx context.Context, a keeper.Attempt, ask ssh.KeyboardInteractiveChallenge) (keeper.Step, error) {
	answer, err := askOne(ask, "Password, or Enter alone to log in with a browser: ")
	switch {
	case err != nil:
		return keeper.Step{}, err
	case answer == "":
		return c.askApproval(ctx, a, ask)
	}
	return c.password(ctx, a, []byte(answer))
}

// askCode asks for an authenticator's code. It always comes after another step, so that
// strangers cannot guess.
func (c *conn) askCode(ctx context.Context, a keeper.Attempt, ask ssh.KeyboardInteractiveChallenge) (keeper.Step, error) {
	answer, err := askOne(ask, "Code of your authenticator, or a recovery code: ")
	if err != nil {
		return keeper.Step{}, err
	}
	return c.code(ctx, a, answer)
}

// askOne asks one question, whose answer is not echoed.
func askOne(ask ssh.KeyboardInteractiveChallenge, prompt string) (string, error) {
	answers, err := ask("", "", []string{prompt}, []bool{false})
	if err != nil {
		return "", err
	}
	if len(answers) != 1 {
		return "", auth.ErrDenied
	}
	return answers[0], nil
}

// proved ends the login with the identity that was just proved, or asks for the next step
// if the policy wants another one.
func (c *conn) proved(ctx context.Context, step keeper.Step, err error) (*ssh.Permissions, error) {
	if err != nil {
		return nil, err
	}
	who := step.Who
	if len(step.Next) > 0 {
		c.log.Info("one step proved", "login", who.Login.String(), "method", who.Method)
		return nil, &ssh.PartialSuccessError{Next: c.steps(ctx, &who, step.Next...)}
	}
	if who.Method != auth.ByPublicKey {
		c.stranger.Succeeded(who.User) // with all steps, not with the one that an attacker may have
	}
	c.sayIfWaiting(who)
	return &ssh.Permissions{ExtraData: map[any]any{identityKey{}: who}}, nil
}

// isStep reports whether an attempt succeeded, but the login needs another step.
func isStep(err error) bool {
	_, ok := errors.AsType[*ssh.PartialSuccessError](err)
	return ok
}
