package gateway

import (
	"context"
	"errors"

	"berth/auth"

	"golang.org/x/crypto/ssh"
)

// noTouchRequired lets x/crypto accept a security key that was not touched.
const noTouchRequired = "no-touch-required"

// Codes judges the codes of the moment that people show as a second step.
type Codes interface {
	// Spend reports whether a code is right for a user now, or one that
	// recovers. A code is right once.
	Spend(user, code string) bool
}

// steps are the ways in which a login may begin, or go on after a step that was
// proved. What was proved travels in them, and nowhere else.
func (c *conn) steps(before *auth.Identity, methods ...auth.Method) ssh.ServerAuthCallbacks {
	var next ssh.ServerAuthCallbacks
	for _, method := range methods {
		switch method {
		case auth.ByPublicKey:
			next.PublicKeyCallback = c.keyOffered(before)
		case auth.ByPassword:
			next.PasswordCallback = c.passwordGiven(before)
		case auth.ByCode:
			next.KeyboardInteractiveCallback = c.codeGiven(before)
		}
	}
	return next
}

// beforeKey is where the step before a key travels (ssh.Permissions).
type beforeKey struct{}

// keyOffered answers whether a key could log in. A client may ask about any key
// it has heard of; only a signature proves.
func (c *conn) keyOffered(before *auth.Identity) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		policy := c.server.Policies.Current()
		who, err := policy.PublicKey(meta.User(), key, c.source())
		if err == nil {
			_, _, err = policy.After(before, who)
		}
		if err != nil {
			return nil, err
		}
		permissions := &ssh.Permissions{ExtraData: map[any]any{beforeKey{}: before}}
		if who.NoTouch {
			permissions.Extensions = map[string]string{noTouchRequired: ""}
		}
		return permissions, nil
	}
}

// keyProved is told of a key whose signature was right.
func (c *conn) keyProved(meta ssh.ConnMetadata, key ssh.PublicKey, offered *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	before, _ := offered.ExtraData[beforeKey{}].(*auth.Identity)
	who, err := c.server.Policies.Current().PublicKey(meta.User(), key, c.source())
	return c.proved(before, who, err)
}

func (c *conn) passwordGiven(before *auth.Identity) func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		ctx, cancel := context.WithTimeout(context.Background(), loginGrace)
		defer cancel()
		who, err := c.server.Policies.Password(ctx, meta.User(), password)
		return c.proved(before, who, err)
	}
}

// codeGiven asks for a code. It comes after another step always, so no stranger
// gets to guess.
func (c *conn) codeGiven(before *auth.Identity) func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	return func(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answers, err := ask("", "", []string{"Code of your authenticator, or a recovery code: "}, []bool{false})
		if err != nil {
			return nil, err
		}
		who := auth.Identity{Method: auth.ByCode}
		who.Login, _ = auth.ParseLogin(meta.User())
		who.User = who.Login.User
		if len(answers) != 1 || c.server.Codes == nil || before == nil || who.Login != before.Login || !c.server.Codes.Spend(who.User, answers[0]) {
			return nil, auth.ErrDenied
		}
		return c.proved(before, who, nil)
	}
}

// proved makes an identity that was just proved that of the connection, or asks
// for what else the policy wants to see.
func (c *conn) proved(before *auth.Identity, who auth.Identity, err error) (*ssh.Permissions, error) {
	if err != nil {
		return nil, err
	}
	who.From = c.source()
	who, next, err := c.server.Policies.Current().After(before, who)
	if err != nil {
		return nil, err
	}
	if len(next) > 0 {
		c.log.Info("one step proved", "login", who.Login.String(), "method", who.Method)
		return nil, &ssh.PartialSuccessError{Next: c.steps(&who, next...)}
	}
	c.sayIfWaiting(who)
	return &ssh.Permissions{ExtraData: map[any]any{identityKey{}: who}}, nil
}

// isStep reports whether an attempt failed for want of another step only.
func isStep(err error) bool {
	var partial *ssh.PartialSuccessError
	return errors.As(err, &partial)
}
