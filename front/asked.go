package front

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/calls"
	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/recording"

	"golang.org/x/crypto/ssh"
)

// asked is the keeper in the other process, as a gateway asks it. It is a
// [gateway.Keeper], and a gateway's recordings and host keys.
type asked struct {
	peer     *calls.Peer
	settings messages.Settings
	log      *slog.Logger
	taken    helper.Taken
}

// call asks without a file, and without an end but the keeper's.
func (k *asked) call(verb string, args, result any) error {
	_, err := k.peer.Call(context.Background(), verb, args, result)
	return err
}

// failed is the failure that the keeper tells of, or that it did not answer.
func (k *asked) failed(f messages.Failure, err error) error {
	if err != nil {
		return err
	}
	return f.Err(func(ctx context.Context, number uint64) string { return k.why(ctx, number, messages.Details) })
}

func (k *asked) why(ctx context.Context, number uint64, what string) (known string) {
	k.peer.Call(ctx, messages.Why, messages.Question{Number: number, What: what}, &known)
	return known
}

func attemptOf(a keeper.Attempt) messages.Attempt {
	asked := messages.Attempt{Login: a.Login, From: a.From}
	if a.Before != nil {
		asked.Before = messages.Proof(a.Before.Proof)
	}
	return asked
}

// step asks whether something is a step of a login.
func (k *asked) step(verb string, args any) (keeper.Step, error) {
	return k.stepWithin(context.Background(), verb, args)
}

func (k *asked) stepWithin(ctx context.Context, verb string, args any) (keeper.Step, error) {
	var told messages.Step
	_, err := k.peer.Call(ctx, verb, args, &told)
	if err := k.failed(told.Failure, err); err != nil {
		return keeper.Step{}, err
	}
	who, err := messages.DecodeIdentity(told.Who)
	who.Proof = string(told.Proof)
	return keeper.Step{Who: who, Next: told.Next}, err
}

// Key asks whether a key is a step of the login.
func (k *asked) Key(a keeper.Attempt, key ssh.PublicKey, proved bool) (keeper.Step, error) {
	return k.step(messages.Key, messages.KeyAttempt{Attempt: attemptOf(a), Key: key.Marshal(), Proved: proved})
}

// Password asks whether a password is a step of the login.
func (k *asked) Password(a keeper.Attempt, password []byte) (keeper.Step, error) {
	return k.step(messages.Password, messages.SecretAttempt{Attempt: attemptOf(a), Secret: password})
}

// Code asks whether a code is a step of the login.
func (k *asked) Code(a keeper.Attempt, code string) (keeper.Step, error) {
	return k.step(messages.Code, messages.SecretAttempt{Attempt: attemptOf(a), Secret: []byte(code)})
}

// PasswordElsewhere asks whether a directory takes a password.
func (k *asked) PasswordElsewhere(ctx context.Context, a keeper.Attempt, password []byte) (keeper.Step, error) {
	return k.stepWithin(ctx, messages.Elsewhere, messages.SecretAttempt{Attempt: attemptOf(a), Secret: password})
}

// Ask asks for an approval.
func (k *asked) Ask(ctx context.Context, a keeper.Attempt) (keeper.Asked, error) {
	var told messages.Asked
	_, err := k.peer.Call(ctx, messages.Ask, attemptOf(a), &told)
	return told.Asked, k.failed(told.Failure, err)
}

// Await waits for an approval.
func (k *asked) Await(ctx context.Context, number uint64) (keeper.Step, error) {
	step, err := k.stepWithin(ctx, messages.Await, number)
	if ctx.Err() != nil {
		return keeper.Step{}, context.Cause(ctx)
	}
	return step, err
}

// Ways asks how a login may begin.
func (k *asked) Ways() (ways keeper.Ways) {
	k.call(messages.Ways, nil, &ways)
	return ways
}

// Again has the directory asked again about somebody.
func (k *asked) Again(ctx context.Context, who auth.Identity) (auth.Identity, error) {
	step, err := k.stepWithin(ctx, messages.Again, messages.Proof(who.Proof))
	return step.Who, err
}

// NameInLog asks what the log says of a user name.
func (k *asked) NameInLog(given string) string {
	name := "unknown"
	k.call(messages.NameInLog, given, &name)
	return name
}

// Waits asks for the host that somebody is about to wait for.
func (k *asked) Waits(who auth.Identity) (host string) {
	k.call(messages.Waits, messages.Proof(who.Proof), &host)
	return host
}

// Admit asks which host a login is about.
func (k *asked) Admit(ctx context.Context, who auth.Identity) (keeper.Admitted, error) {
	var told messages.Admitted
	_, err := k.peer.Call(ctx, messages.Admit, messages.Proof(who.Proof), &told)
	return keeper.Admitted{Limits: told.Limits, Host: told.Host}, k.failed(told.Failure, err)
}

// Still asks whether a connection may go on.
func (k *asked) Still(who auth.Identity, host auth.Host, account string) (auth.Grant, error) {
	var told messages.Stays
	err := k.call(messages.Still, messages.Stay{Who: messages.Proof(who.Proof), Host: host, Account: account}, &told)
	return told.Grant, k.failed(told.Failure, err)
}

// Enter has a host opened, and takes what it is entered by.
func (k *asked) Enter(ctx context.Context, who auth.Identity, host string) (*keeper.Entered, error) {
	var told messages.Entered
	files, err := k.peer.Call(ctx, messages.Enter, messages.Entry{Who: messages.Proof(who.Proof), Host: host}, &told)
	if err := k.failed(told.Failure, err); err != nil {
		return nil, err
	}
	entered := &keeper.Entered{Host: told.Host, Account: told.Account, Target: told.Target, Limits: told.Limits, Recorded: told.Recorded}
	leave := sync.OnceFunc(func() { k.call(messages.Leave, told.Number, nil) })
	e := &entered.Entrance
	if told.Machine != nil {
		handed := helper.Handed{Version: told.Machine.Version, Helper: told.Machine.Helper}
		if len(files) > 0 {
			handed.File = files[0]
		}
		m, err := k.taken.Machine(ctx, handed)
		if err != nil {
			leave()
			return nil, &hosts.Unreachable{Host: host, Why: "cannot be entered: it went away", Cause: err}
		}
		e.Machine = leftMachine{m, leave}
	} else if e.Sshd, err = k.sshd(told, files, leave); err != nil {
		leave()
		return nil, err
	}
	if told.HasLost {
		e.WhyLost = func() string { return k.why(context.Background(), told.Number, messages.Lost) }
	}
	e.Before = hosts.Before{Ended: told.Before.Ended, Since: told.Before.Since, Why: func(ctx context.Context) string { return k.why(ctx, told.Number, messages.Run) }}
	return entered, nil
}

// leftMachine is a machine whose entrance is left when it is closed.
type leftMachine struct {
	machine.Machine
	leave func()
}

// Close lets go of the machine.
func (m leftMachine) Close() error {
	defer m.leave()
	return m.Machine.Close()
}

// leftConn is a connection whose entrance is left when it is closed.
type leftConn struct {
	net.Conn
	leave func()
}

// Socket is the connection's own, which package wire reads and writes.
func (c leftConn) Socket() net.Conn { return c.Conn }

// Close closes the connection.
func (c leftConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

var errNoFile = errors.New("the keeper gave no connection")

func (k *asked) sshd(told messages.Entered, files []*os.File, leave func()) (*hosts.Sshd, error) {
	if len(files) == 0 || told.Sshd == nil {
		return nil, errNoFile
	}
	defer files[0].Close()
	conn, err := net.FileConn(files[0])
	if err != nil {
		return nil, err
	}
	sshd := &hosts.Sshd{Conn: leftConn{conn, leave}, Host: told.Sshd.Host, Patience: told.Sshd.Patience}
	key, err := ssh.ParsePublicKey(told.Sshd.Key)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	sshd.Key = &signer{k, told.Number, key}
	if sshd.HostKeys, err = keysOf(told.Sshd.HostKeys); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if told.Sshd.HasWhy {
		sshd.WhyNot = func(ctx context.Context) string { return k.why(ctx, told.Number, messages.NotIn) }
	}
	return sshd, nil
}

func keysOf(marshalled [][]byte) (all []ssh.PublicKey, err error) {
	for _, one := range marshalled {
		key, err := ssh.ParsePublicKey(one)
		if err != nil {
			return nil, err
		}
		all = append(all, key)
	}
	return all, nil
}

// HostKeys asks for the gateway's host keys, which the keeper signs by.
func (k *asked) HostKeys(others bool) (gateway.HostKeys, error) {
	var told messages.Keys
	if err := k.call(messages.HostKeys, others, &told); err != nil {
		return gateway.HostKeys{}, err
	}
	var keys gateway.HostKeys
	first, err := k.signers([][]byte{told.Key})
	if err != nil {
		return keys, err
	}
	keys.Key = first[0]
	if keys.Others, err = k.signers(told.Others); err != nil {
		return keys, err
	}
	keys.Next, err = k.signers(told.Next)
	return keys, err
}

func (k *asked) signers(marshalled [][]byte) (all []ssh.Signer, err error) {
	keys, err := keysOf(marshalled)
	for _, key := range keys {
		all = append(all, &signer{k, 0, key})
	}
	return all, err
}

// signer has the keeper sign.
type signer struct {
	asked    *asked
	entrance uint64 // 0: by a host key
	public   ssh.PublicKey
}

// PublicKey is the key, or its certificate.
func (s *signer) PublicKey() ssh.PublicKey { return s.public }

// Sign signs by the key's own algorithm.
func (s *signer) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(random, data, "")
}

// SignWithAlgorithm signs.
func (s *signer) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	var told messages.Signature
	signing := messages.Signing{Entrance: s.entrance, Key: s.public.Marshal(), Algorithm: algorithm, Data: data}
	if err := s.asked.call(messages.Sign, signing, &told); err != nil {
		return nil, err
	}
	var signature ssh.Signature
	return &signature, ssh.Unmarshal(told.Signature, &signature)
}

// audit has an event written.
func (k *asked) audit(name string, fields json.RawMessage) error {
	var told messages.Written
	if err := k.call(messages.Audit, messages.Event{Name: name, Fields: fields}, &told); err != nil || !told.OK {
		return audit.ErrNotWritten
	}
	return nil
}

// Start begins a recording in a file that the keeper makes.
func (k *asked) Start(session recording.Session) (*recording.Recording, error) {
	var told messages.Recorded
	files, err := k.peer.Call(context.Background(), messages.Record, session, &told)
	var made *recording.Recording
	switch {
	case err != nil:
		k.log.Error("session not recorded", "conn", session.Conn, "err", err)
	case len(files) > 0:
		how := recording.How{GoOn: k.settings.RecordsGoOn, Log: k.log, Ended: func() { k.call(messages.RecordEnd, told.Number, nil) }}
		if made, err = recording.Begin(files[0], session, how); err == nil {
			return made, nil
		}
	}
	if k.settings.RecordsGoOn {
		return nil, nil
	}
	return nil, recording.ErrNotRecorded
}
