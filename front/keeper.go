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

// keeperClient is the keeper in the other process, as a gateway asks it. It is a
// [gateway.Keeper], and a gateway's recordings and host keys.
type keeperClient struct {
	peer     *calls.Peer
	settings messages.Settings
	room     *recording.Room
	log      *slog.Logger
	taken    helper.Taken
}

// call asks without a file, and without an end but the keeper's.
func (k *keeperClient) call(verb string, args, result any) error {
	_, err := k.peer.Call(context.Background(), verb, args, result)
	return err
}

// failed is the failure that the keeper tells of, or that it did not answer.
func (k *keeperClient) failed(f messages.Failure, err error) error {
	if err != nil {
		return err
	}
	return f.Err(func(ctx context.Context, number uint64) string { return k.why(ctx, number, messages.Details) })
}

func (k *keeperClient) why(ctx context.Context, number uint64, what string) (known string) {
	k.peer.Call(ctx, messages.Why, messages.Question{Number: number, What: what}, &known)
	return known
}

func attemptOf(a keeper.Attempt) messages.Attempt {
	attempt := messages.Attempt{Login: a.Login, From: a.From}
	if a.Before != nil {
		attempt.Before = messages.Proof(a.Before.Proof)
	}
	return attempt
}

// step asks whether something is a step of a login.
func (k *keeperClient) step(verb string, args any) (keeper.Step, error) {
	return k.stepWithin(context.Background(), verb, args)
}

func (k *keeperClient) stepWithin(ctx context.Context, verb string, args any) (keeper.Step, error) {
	var answer messages.Step
	_, err := k.peer.Call(ctx, verb, args, &answer)
	if err := k.failed(answer.Failure, err); err != nil {
		return keeper.Step{}, err
	}
	who, err := messages.DecodeIdentity(answer.Who)
	who.Proof = string(answer.Proof)
	return keeper.Step{Who: who, Next: answer.Next}, err
}

// Key asks whether a key is a step of the login.
func (k *keeperClient) Key(a keeper.Attempt, key ssh.PublicKey, proved bool) (keeper.Step, error) {
	return k.step(messages.Key, messages.KeyAttempt{Attempt: attemptOf(a), Key: key.Marshal(), Proved: proved})
}

// Password asks whether a password is a step of the login.
func (k *keeperClient) Password(a keeper.Attempt, password []byte) (keeper.Step, error) {
	return k.step(messages.Password, messages.SecretAttempt{Attempt: attemptOf(a), Secret: password})
}

// Code asks whether a code is a step of the login.
func (k *keeperClient) Code(a keeper.Attempt, code string) (keeper.Step, error) {
	return k.step(messages.Code, messages.SecretAttempt{Attempt: attemptOf(a), Secret: []byte(code)})
}

// DirectoryPassword asks whether the directory takes a password.
func (k *keeperClient) DirectoryPassword(ctx context.Context, a keeper.Attempt, password []byte) (keeper.Step, error) {
	return k.stepWithin(ctx, messages.DirectoryPassword, messages.SecretAttempt{Attempt: attemptOf(a), Secret: password})
}

// RequestApproval has the provider asked for an approval.
func (k *keeperClient) RequestApproval(ctx context.Context, a keeper.Attempt) (keeper.Approval, error) {
	var answer messages.Approval
	_, err := k.peer.Call(ctx, messages.RequestApproval, attemptOf(a), &answer)
	return answer.Approval, k.failed(answer.Failure, err)
}

// AwaitApproval waits for an approval.
func (k *keeperClient) AwaitApproval(ctx context.Context, number uint64) (keeper.Step, error) {
	step, err := k.stepWithin(ctx, messages.AwaitApproval, number)
	if ctx.Err() != nil {
		return keeper.Step{}, context.Cause(ctx)
	}
	return step, err
}

// LoginMethods asks how a login may begin.
func (k *keeperClient) LoginMethods() (methods keeper.LoginMethods) {
	k.call(messages.LoginMethods, nil, &methods)
	return methods
}

// Recheck has the directory asked again about somebody.
func (k *keeperClient) Recheck(ctx context.Context, who auth.Identity) (auth.Identity, error) {
	step, err := k.stepWithin(ctx, messages.Recheck, messages.Proof(who.Proof))
	return step.Who, err
}

// LogName asks what the log shows of a user name.
func (k *keeperClient) LogName(given string) string {
	name := "unknown"
	k.call(messages.LogName, given, &name)
	return name
}

// RestartingHost asks for the host that a login will wait for.
func (k *keeperClient) RestartingHost(who auth.Identity) (host string) {
	k.call(messages.RestartingHost, messages.Proof(who.Proof), &host)
	return host
}

// Admit asks which host a login is about.
func (k *keeperClient) Admit(ctx context.Context, who auth.Identity) (keeper.Admitted, error) {
	var answer messages.Admitted
	_, err := k.peer.Call(ctx, messages.Admit, messages.Proof(who.Proof), &answer)
	return keeper.Admitted{Limits: answer.Limits, Host: answer.Host}, k.failed(answer.Failure, err)
}

// CurrentGrant asks for the grant that holds now.
func (k *keeperClient) CurrentGrant(who auth.Identity, host auth.Host, account string) (auth.Grant, error) {
	var answer messages.GrantAnswer
	err := k.call(messages.CurrentGrant, messages.GrantQuestion{Who: messages.Proof(who.Proof), Host: host, Account: account}, &answer)
	return answer.Grant, k.failed(answer.Failure, err)
}

// Enter has a host opened, and takes what it is entered by.
func (k *keeperClient) Enter(ctx context.Context, who auth.Identity, host string) (*keeper.Entered, error) {
	var answer messages.Entered
	files, err := k.peer.Call(ctx, messages.Enter, messages.Entry{Who: messages.Proof(who.Proof), Host: host}, &answer)
	if err := k.failed(answer.Failure, err); err != nil {
		return nil, err
	}
	entered := &keeper.Entered{Host: answer.Host, Account: answer.Account, Target: answer.Target, Limits: answer.Limits, Recorded: answer.Recorded}
	leave := sync.OnceFunc(func() { k.call(messages.Leave, answer.Number, nil) })
	e := &entered.Entrance
	if answer.Machine != nil {
		handed := helper.Handed{Version: answer.Machine.Version, Helper: answer.Machine.Helper}
		if len(files) > 0 {
			handed.File = files[0]
		}
		m, err := k.taken.Machine(ctx, handed)
		if err != nil {
			leave()
			return nil, &hosts.Unreachable{Host: host, Why: "cannot be entered: it went away", Cause: err}
		}
		e.Machine = leftMachine{m, leave}
	} else if e.Sshd, err = k.sshd(answer, files, leave); err != nil {
		leave()
		return nil, err
	}
	if answer.HasLost {
		e.WhyLost = func() string { return k.why(context.Background(), answer.Number, messages.Lost) }
	}
	e.Before = hosts.Before{Ended: answer.Before.Ended, Since: answer.Before.Since, Why: func(ctx context.Context) string { return k.why(ctx, answer.Number, messages.Run) }}
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

func (k *keeperClient) sshd(answer messages.Entered, files []*os.File, leave func()) (*hosts.Sshd, error) {
	if len(files) == 0 || answer.Sshd == nil {
		return nil, errNoFile
	}
	defer files[0].Close()
	conn, err := net.FileConn(files[0])
	if err != nil {
		return nil, err
	}
	sshd := &hosts.Sshd{Conn: leftConn{conn, leave}, Host: answer.Sshd.Host, Patience: answer.Sshd.Patience}
	key, err := ssh.ParsePublicKey(answer.Sshd.Key)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	sshd.Key = &signer{k, answer.Number, key}
	if sshd.HostKeys, err = keysOf(answer.Sshd.HostKeys); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if answer.Sshd.HasWhy {
		sshd.WhyNot = func(ctx context.Context) string { return k.why(ctx, answer.Number, messages.NotIn) }
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
func (k *keeperClient) HostKeys(others bool) (gateway.HostKeys, error) {
	var answer messages.Keys
	if err := k.call(messages.HostKeys, others, &answer); err != nil {
		return gateway.HostKeys{}, err
	}
	var keys gateway.HostKeys
	first, err := k.signers([][]byte{answer.Key})
	if err != nil {
		return keys, err
	}
	keys.Key = first[0]
	if keys.Others, err = k.signers(answer.Others); err != nil {
		return keys, err
	}
	keys.Next, err = k.signers(answer.Next)
	return keys, err
}

func (k *keeperClient) signers(marshalled [][]byte) (all []ssh.Signer, err error) {
	keys, err := keysOf(marshalled)
	for _, key := range keys {
		all = append(all, &signer{k, 0, key})
	}
	return all, err
}

// signer has the keeper sign.
type signer struct {
	keeper   *keeperClient
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
	var answer messages.Signature
	signing := messages.Signing{Entrance: s.entrance, Key: s.public.Marshal(), Algorithm: algorithm, Data: data}
	if err := s.keeper.call(messages.Sign, signing, &answer); err != nil {
		return nil, err
	}
	var signature ssh.Signature
	return &signature, ssh.Unmarshal(answer.Signature, &signature)
}

// audit has an event written.
func (k *keeperClient) audit(name string, fields json.RawMessage) error {
	var answer messages.Written
	if err := k.call(messages.Audit, messages.Event{Name: name, Fields: fields}, &answer); err != nil || !answer.OK {
		return audit.ErrNotWritten
	}
	return nil
}

// Start begins a recording in a file that the keeper makes.
func (k *keeperClient) Start(session recording.Session) (*recording.Recording, error) {
	files, err := k.peer.Call(context.Background(), messages.Record, session, nil)
	if len(files) > 0 {
		var made *recording.Recording
		if made, err = recording.Begin(files[0], session, recording.How{GoOn: k.settings.RecordsGoOn, Room: k.room, Log: k.log}); err == nil {
			return made, nil
		}
	}
	if err != nil { // or else the keeper has told why there is no file
		k.log.Error("session not recorded", "conn", session.Conn, "err", err)
	}
	if k.settings.RecordsGoOn {
		return nil, nil
	}
	return nil, recording.ErrNotRecorded
}
