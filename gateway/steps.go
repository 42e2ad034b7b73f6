package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keeper"

	"golang.org/x/crypto/ssh"
)

// noTouchRequired is the extension by which x/crypto accepts a security key that was
// not touched.
const noTouchRequired = "no-touch-required"

// steps returns the callbacks for the methods by which a login may begin, or may go
// on after the proved step before. That step travels in the callbacks and is stored
// nowhere else. Keyboard-interactive (RFC 4256) asks for a code if that is one of the
// methods; otherwise for an approval, a password, or either of them.
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

// attempt returns the client's attempt, with the step that was proved before it.
func (c *conn) attempt(meta ssh.ConnMetadata, before *auth.Identity) keeper.Attempt {
	return keeper.Attempt{Login: meta.User(), From: c.source(), Before: before}
}

// beforeKey is the key in ssh.Permissions under which the step before a key travels.
type beforeKey struct{}

// keyOffered answers a client's question whether a key could log in. Anybody may ask
// about any key; only a signature proves that the client has it.
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

// keyProved handles a key whose signature is valid.
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

// question asks a person something by keyboard-interactive, and identifies the person
// by the answer.
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

// askEither asks for a password; an empty answer asks for an approval instead. The
// question is the same for everybody, so that strangers do not learn which of the two
// a user has.
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

// askCode asks for an authenticator's code. It always follows another step, so that
// strangers cannot guess codes.
func (c *conn) askCode(ctx context.Context, a keeper.Attempt, ask ssh.KeyboardInteractiveChallenge) (keeper.Step, error) {
	answer, err := askOne(ask, "Code of your authenticator, or a recovery code: ")
	if err != nil {
		return keeper.Step{}, err
	}
	return c.code(ctx, a, answer)
}

// askOne asks one question, without echo, and returns the answer.
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

// proved ends the login with the identity that was just proved. If the policy wants
// another step, it returns the callbacks for that instead.
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
		c.stranger.Succeeded(who.User) // only after all steps: an attacker may have the first one
	}
	c.sayIfWaiting(who)
	return &ssh.Permissions{ExtraData: map[any]any{identityKey{}: who}}, nil
}

// isStep reports whether the error means that an attempt succeeded but the login
// needs another step.
func isStep(err error) bool {
	_, ok := errors.AsType[*ssh.PartialSuccessError](err)
	return ok
}
