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

// steps are the ways in which a login may begin, or go on after a step that was
// proved. What was proved travels in them, and nowhere else. A code and a password
// can both be asked for by keyboard-interactive (RFC 4256): it is the code's, where
// there may be one.
func (c *conn) steps(ctx context.Context, before *auth.Identity, methods ...auth.Method) ssh.ServerAuthCallbacks {
	var next ssh.ServerAuthCallbacks
	for _, method := range methods {
		switch method {
		case auth.ByPublicKey:
			next.PublicKeyCallback = c.keyOffered(before)
		case auth.ByPassword:
			next.PasswordCallback = c.passwordGiven(ctx, before)
			if !slices.Contains(methods, auth.ByCode) {
				next.KeyboardInteractiveCallback = c.passwordAsked(ctx, before)
			}
		case auth.ByCode:
			next.KeyboardInteractiveCallback = c.codeAsked(ctx, before)
		}
	}
	return next
}

// attempt is an attempt of the client, after a step that was proved.
func (c *conn) attempt(meta ssh.ConnMetadata, before *auth.Identity) keeper.Attempt {
	return keeper.Attempt{Login: meta.User(), From: c.source(), Before: before}
}

// beforeKey is where the step before a key travels (ssh.Permissions).
type beforeKey struct{}

// keyOffered answers whether a key could log in. A client may ask about any key
// it has heard of; only a signature proves.
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

// keyProved is told of a key whose signature was right.
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

func (c *conn) passwordAsked(ctx context.Context, before *auth.Identity) func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answer, err := askOne(ask, "Password: ")
		if err != nil {
			return nil, err
		}
		step, err := c.password(ctx, c.attempt(meta, before), []byte(answer))
		return c.proved(ctx, step, err)
	}
}

// codeAsked asks for a code. It comes after another step always, so no stranger
// gets to guess.
func (c *conn) codeAsked(ctx context.Context, before *auth.Identity) func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answer, err := askOne(ask, "Code of your authenticator, or a recovery code: ")
		if err != nil {
			return nil, err
		}
		step, err := c.code(ctx, c.attempt(meta, before), answer)
		return c.proved(ctx, step, err)
	}
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

// proved makes an identity that was just proved that of the connection, or asks
// for what else the policy wants to see.
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

// isStep reports whether an attempt failed for want of another step only.
func isStep(err error) bool {
	var partial *ssh.PartialSuccessError
	return errors.As(err, &partial)
}
