package fronts

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/calls"
	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/recording"

	"golang.org/x/crypto/ssh"
)

// verbs returns what the front may ask for, each with the function that answers it.
func (p *process) verbs() map[string]calls.Verb {
	return map[string]calls.Verb{
		messages.Key:               taking(p.key),
		messages.Password:          taking(p.password),
		messages.Code:              taking(p.code),
		messages.DirectoryPassword: taking(p.directoryPassword),
		messages.RequestApproval:   taking(p.requestApproval),
		messages.AwaitApproval:     taking(p.awaitApproval),
		messages.LoginMethods:      taking(func(context.Context, any) (keeper.LoginMethods, error) { return p.Keeper.LoginMethods(), nil }),
		messages.Recheck:           taking(p.recheck),
		messages.LogName:           taking(func(_ context.Context, login string) (string, error) { return p.Keeper.LogName(login), nil }),
		messages.RestartingHost:    taking(p.restartingHost),
		messages.Admit:             taking(p.admit),
		messages.Enter:             takingFile(p.enter),
		messages.CurrentGrant:      taking(p.currentGrant),
		messages.Leave:             taking(p.leave),
		messages.Why:               taking(p.why),
		messages.HostKeys:          taking(p.hostKeys),
		messages.Sign:              taking(p.sign),
		messages.Audit:             taking(p.audit),
		messages.Record:            takingFile(p.record),
	}
}

// takingFile returns the verb for a function that takes arguments of one type and
// returns a result and a file, which may be nil.
func takingFile[Args, Result any](act func(context.Context, Args) (Result, *os.File, error)) calls.Verb {
	return func(ctx context.Context, raw json.RawMessage, files []*os.File) (any, []*os.File, error) {
		for _, file := range files {
			file.Close() // no verb takes files
		}
		var args Args
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, nil, errors.New("not arguments of this verb")
		}
		result, file, err := act(ctx, args)
		if file == nil {
			return result, nil, err
		}
		return result, []*os.File{file}, err
	}
}

func taking[Args, Result any](act func(context.Context, Args) (Result, error)) calls.Verb {
	return takingFile(func(ctx context.Context, args Args) (Result, *os.File, error) {
		result, err := act(ctx, args)
		return result, nil, err
	})
}

// nothing is the result of verbs that have none.
type nothing struct{}

// who returns the identity in a proof of a login.
func (p *process) who(proof messages.Proof) (auth.Identity, error) {
	who, err := p.seal.open(aLogin, proof, 0)
	return who, p.suspect(err)
}

// suspect returns err. If no honest front causes that error, it also logs and audits
// it.
func (p *process) suspect(err error) error {
	if errors.Is(err, errProof) || errors.Is(err, errNotOpen) {
		p.Log.Error("the front asks for what it may not: it may have been taken over", "err", err)
		p.Audit.Write(audit.FrontSuspected{Why: err.Error()})
	}
	return err
}

// attempt returns the front's attempt as the keeper takes it.
func (p *process) attempt(a messages.Attempt) (keeper.Attempt, error) {
	asked := keeper.Attempt{Login: a.Login, From: a.From}
	if a.Before == nil {
		return asked, nil
	}
	before, err := p.seal.open(aStep, a.Before, stepAge)
	asked.Before = &before
	return asked, p.suspect(err)
}

// step returns the front's answer for a step: the identity, with a proof of it.
func (p *process) step(step keeper.Step, err error) (messages.Step, error) {
	if err != nil {
		return messages.Step{Failure: messages.FailureOf(err, p.entrances.keep)}, nil
	}
	kind := aLogin
	if len(step.Next) > 0 {
		kind = aStep
	}
	proof, who, err := p.seal.give(kind, step.Who)
	return messages.Step{Who: who, Proof: proof, Next: step.Next}, err
}

func (p *process) key(_ context.Context, a messages.KeyAttempt) (messages.Step, error) {
	attempt, err := p.attempt(a.Attempt)
	if err != nil {
		return messages.Step{}, err
	}
	key, err := ssh.ParsePublicKey(a.Key)
	if err != nil {
		return messages.Step{}, err
	}
	step, err := p.step(p.Keeper.Key(attempt, key, a.Proved))
	if !a.Proved {
		step.Proof = nil // without a signature it proves nothing: anybody may know a public key
	}
	return step, err
}

// password tries a password. It limits how many are tried at once, as an honest front
// does by itself.
func (p *process) password(ctx context.Context, a messages.SecretAttempt) (messages.Step, error) {
	attempt, err := p.attempt(a.Attempt)
	if err != nil {
		return messages.Step{}, err
	}
	select {
	case p.hashing <- struct{}{}:
		defer func() { <-p.hashing }()
	case <-ctx.Done():
		return messages.Step{}, ctx.Err()
	}
	return p.step(p.Keeper.Password(attempt, a.Secret))
}

func (p *process) code(_ context.Context, a messages.SecretAttempt) (messages.Step, error) {
	attempt, err := p.attempt(a.Attempt)
	if err != nil {
		return messages.Step{}, err
	}
	return p.step(p.Keeper.Code(attempt, string(a.Secret)))
}

// directoryPassword asks the directory about a password. It limits questions in the
// same way.
func (p *process) directoryPassword(ctx context.Context, a messages.SecretAttempt) (messages.Step, error) {
	attempt, err := p.attempt(a.Attempt)
	if err != nil {
		return messages.Step{}, err
	}
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	case <-ctx.Done():
		return messages.Step{}, ctx.Err()
	}
	return p.step(p.Keeper.DirectoryPassword(ctx, attempt, a.Secret))
}

func (p *process) requestApproval(ctx context.Context, a messages.Attempt) (messages.Approval, error) {
	attempt, err := p.attempt(a)
	if err != nil {
		return messages.Approval{}, err
	}
	approval, err := p.Keeper.RequestApproval(ctx, attempt)
	return messages.Approval{Failure: messages.FailureOf(err, p.entrances.keep), Approval: approval}, nil
}

func (p *process) awaitApproval(ctx context.Context, number uint64) (messages.Step, error) {
	return p.step(p.Keeper.AwaitApproval(ctx, number))
}

// recheck returns the identity as the directory describes it now. Its proof keeps the
// time of the login: an old login may not open a host for the first time.
func (p *process) recheck(ctx context.Context, proof messages.Proof) (messages.Step, error) {
	who, err := p.who(proof)
	if err != nil {
		return messages.Step{}, err
	}
	now, err := p.Keeper.Recheck(ctx, who)
	if err != nil {
		return messages.Step{Failure: messages.FailureOf(err, p.entrances.keep)}, nil
	}
	proof, encoded, err := p.seal.again(proof, now)
	return messages.Step{Who: encoded, Proof: proof}, err
}

func (p *process) restartingHost(_ context.Context, proof messages.Proof) (string, error) {
	who, err := p.who(proof)
	if err != nil {
		return "", err
	}
	return p.Keeper.RestartingHost(who), nil
}

func (p *process) admit(ctx context.Context, proof messages.Proof) (messages.Admitted, error) {
	who, err := p.who(proof)
	if err != nil {
		return messages.Admitted{}, err
	}
	admitted, err := p.Keeper.Admit(ctx, who)
	return messages.Admitted{Failure: messages.FailureOf(err, p.entrances.keep), Limits: admitted.Limits, Host: admitted.Host}, nil
}

func (p *process) currentGrant(_ context.Context, s messages.GrantQuestion) (messages.GrantAnswer, error) {
	who, err := p.who(s.Who)
	if err != nil {
		return messages.GrantAnswer{}, err
	}
	grant, err := p.Keeper.CurrentGrant(who, s.Host, s.Account)
	return messages.GrantAnswer{Failure: messages.FailureOf(err, p.entrances.keep), Grant: grant}, nil
}

func (p *process) hostKeys(_ context.Context, others bool) (messages.Keys, error) {
	keys, err := p.HostKeys(others)
	if err != nil {
		return messages.Keys{}, err
	}
	public := func(signers []ssh.Signer) (all [][]byte) {
		for _, signer := range signers {
			all = append(all, signer.PublicKey().Marshal())
		}
		return all
	}
	return messages.Keys{Key: keys.Key.PublicKey().Marshal(), Others: public(keys.Others), Next: public(keys.Next)}, nil
}

// sign signs with a key that stays in this process.
func (p *process) sign(_ context.Context, s messages.Signing) (messages.Signature, error) {
	signer, err := p.signer(s)
	if err != nil {
		return messages.Signature{}, p.suspect(err)
	}
	var signature *ssh.Signature
	if by, ok := signer.(ssh.AlgorithmSigner); ok {
		signature, err = by.SignWithAlgorithm(rand.Reader, s.Data, s.Algorithm)
	} else {
		signature, err = signer.Sign(rand.Reader, s.Data)
	}
	if err != nil {
		return messages.Signature{}, err
	}
	return messages.Signature{Signature: ssh.Marshal(signature)}, nil
}

func (p *process) signer(s messages.Signing) (ssh.Signer, error) {
	if s.Entrance != 0 {
		return p.entrances.signer(s.Entrance)
	}
	for _, others := range []bool{false, true} {
		keys, err := p.HostKeys(others)
		if err != nil {
			return nil, err
		}
		if signer := signerOf(keys, s.Key); signer != nil {
			return signer, nil
		}
	}
	return nil, errors.New("this key is none of the gateway's any more")
}

func signerOf(keys gateway.HostKeys, public []byte) ssh.Signer {
	for _, signers := range [][]ssh.Signer{{keys.Key}, keys.Others, keys.Next} {
		for _, signer := range signers {
			if string(signer.PublicKey().Marshal()) == string(public) {
				return signer
			}
		}
	}
	return nil
}

func (p *process) audit(_ context.Context, e messages.Event) (messages.Written, error) {
	event, err := audit.Parse(e.Name, e.Fields)
	if err != nil {
		return messages.Written{}, err
	}
	return messages.Written{OK: p.Audit.Write(event) == nil}, nil
}

// record creates the file of a recording, for a person who has entered the host.
func (p *process) record(_ context.Context, s recording.Session) (nothing, *os.File, error) {
	if p.Recordings == nil || auth.CheckName(s.Conn) != nil || !p.entrances.has(s.Person, s.Host) {
		return nothing{}, nil, p.suspect(errNotOpen)
	}
	file, err := p.Recordings.Create(s)
	if err != nil {
		p.Log.Error("session not recorded", "conn", s.Conn, "err", err)
		return nothing{}, nil, nil
	}
	return nothing{}, file, nil
}
