package messages

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"

	"golang.org/x/crypto/ssh"
)

// identity is an auth.Identity with what JSON cannot tell in another form.
type identity struct {
	auth.Identity
	Certificate []byte    `json:",omitempty"`
	Before      *identity `json:",omitempty"`
}

// EncodeIdentity is an identity as another process reads it.
func EncodeIdentity(who auth.Identity) (json.RawMessage, error) { return json.Marshal(encodable(who)) }

func encodable(who auth.Identity) identity {
	encoded := identity{Identity: who}
	encoded.Proof = "" // it is of whoever has it
	if who.Certificate != nil {
		encoded.Certificate = who.Certificate.Marshal()
	}
	if who.Before != nil {
		before := encodable(*who.Before)
		encoded.Before = &before
	}
	return encoded
}

// DecodeIdentity reads an identity.
func DecodeIdentity(encoded json.RawMessage) (auth.Identity, error) {
	var read identity
	if err := json.Unmarshal(encoded, &read); err != nil {
		return auth.Identity{}, err
	}
	return read.decoded()
}

func (i identity) decoded() (auth.Identity, error) {
	who := i.Identity
	if i.Certificate != nil {
		key, err := ssh.ParsePublicKey(i.Certificate)
		if err != nil {
			return who, err
		}
		certificate, ok := key.(*ssh.Certificate)
		if !ok {
			return who, errors.New("not a certificate")
		}
		who.Certificate = certificate
	}
	if i.Before != nil {
		before, err := i.Before.decoded()
		if err != nil {
			return who, err
		}
		who.Before = &before
	}
	return who, nil
}

// Failure is an error of a keeper; the zero value is none.
type Failure struct {
	Kind        string       `json:",omitempty"` // denied, no answer, refusal, unreachable or other
	Text        string       `json:",omitempty"`
	Service     auth.Service `json:",omitempty"` // that gave no answer
	Unreachable *Unreachable `json:",omitempty"`
}

// Unreachable is a hosts.Unreachable.
type Unreachable struct {
	Host, Why, Cause, Box string
	Unknown               bool
	Silent                string
	Patience              time.Duration
	Details               uint64 // the number by which they are asked for; 0: none
}

// FailureOf is an error as another process reads it. Keep keeps what knows the details
// of an unreachable host, under the number that it returns.
func FailureOf(err error, keep func(func(context.Context) string) uint64) Failure {
	var refusal *auth.Refusal
	var noAnswer *keeper.NoAnswer
	unreachable := hosts.AsUnreachable(err)
	switch {
	case err == nil:
		return Failure{}
	case errors.Is(err, auth.ErrDenied):
		return Failure{Kind: "denied"}
	case errors.As(err, &noAnswer):
		return Failure{Kind: "no answer", Service: noAnswer.Service, Text: noAnswer.Err.Error()}
	case errors.As(err, &refusal):
		return Failure{Kind: "refusal", Text: refusal.Error()}
	case unreachable == nil:
		return Failure{Kind: "other", Text: err.Error()}
	}
	told := &Unreachable{
		Host: unreachable.Host, Why: unreachable.Why, Box: unreachable.Box,
		Unknown: unreachable.Unknown, Silent: unreachable.Silent, Patience: unreachable.Patience,
	}
	if unreachable.Cause != nil {
		told.Cause = unreachable.Cause.Error()
	}
	if unreachable.Details != nil {
		told.Details = keep(unreachable.Details)
	}
	return Failure{Kind: "unreachable", Unreachable: told}
}

// Err is the error. Ask asks for details by their number.
func (f Failure) Err(ask func(context.Context, uint64) string) error {
	switch {
	case f.Kind == "":
		return nil
	case f.Kind == "denied":
		return auth.ErrDenied
	case f.Kind == "no answer":
		return &keeper.NoAnswer{Service: f.Service, Err: errors.New(f.Text)}
	case f.Kind == "refusal":
		return auth.Refused(f.Text)
	case f.Unreachable == nil:
		return errors.New(f.Text)
	}
	u := &hosts.Unreachable{
		Host: f.Unreachable.Host, Why: f.Unreachable.Why, Box: f.Unreachable.Box,
		Unknown: f.Unreachable.Unknown, Silent: f.Unreachable.Silent, Patience: f.Unreachable.Patience,
	}
	if f.Unreachable.Cause != "" {
		u.Cause = errors.New(f.Unreachable.Cause)
	}
	if number := f.Unreachable.Details; number != 0 {
		u.Details = func(ctx context.Context) string { return ask(ctx, number) }
	}
	return u
}
