package keeper

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/recording"

	"golang.org/x/crypto/ssh"
)

// Hosts finds and opens hosts. Errors of Lookup and Open are *[hosts.Unreachable]. It
// must be safe for concurrent use.
type Hosts interface {
	// Lookup finds a host by its name, without a call to an engine.
	Lookup(ctx context.Context, name string) (hosts.Host, error)

	// List returns the hosts that Lookup would find.
	List(ctx context.Context) []hosts.Host

	// ComingBack reports whether a host is probably restarting. It does not wait: it
	// uses only what is known already.
	ComingBack(name string) bool

	// Open opens a host that Lookup has found, as an account; "" stands for the
	// account as which the host runs.
	Open(ctx context.Context, host hosts.Host, account string) (hosts.Entrance, error)
}

// Codes checks the codes of authenticators, which are a second step.
type Codes interface {
	// Spend reports whether a user's code, or recovery code, is valid. Each code is
	// valid only once.
	Spend(user, code string) bool
}

// Keeper decides by the policy in force. Its fields must be set before its first use,
// and not changed later. It is safe for concurrent use.
type Keeper struct {
	Policies   *auth.Policies
	Codes      Codes     // nil: no code is valid
	Directory  Directory // nil for none
	Provider   Provider  // nil for none
	Hosts      Hosts
	UserCA     func() ssh.Signer // signs the certificates that hosts trust
	Recordings *recording.Store  // decides which hosts' terminals are recorded; nil: none
	Audit      *audit.Log        // nil for none
	Log        *slog.Logger      // nil for none

	// LogKey is the key of the digests that the log shows in the place of unknown
	// user names.
	LogKey []byte

	// LogUnknownUsers logs unknown names themselves, some of which are passwords that
	// were typed in the place of the name.
	LogUnknownUsers bool

	approvals approvals
}

// Attempt is what a client sends with an attempt to log in.
type Attempt struct {
	Login  string         // RFC 4252 §5: the user name
	From   netip.Addr     // the client's address
	Before *auth.Identity // the proved step before this one, on the same connection; nil for none
}

// Step is a proved step of a login.
type Step struct {
	Who  auth.Identity
	Next []auth.Method // the methods of which any one may follow; nil: the login is complete
}

// Key reports whether a key, or a certificate, is valid for a step of the login. A
// client may ask about any key (RFC 4252 §7); the step is proved only if proved is
// true: the client has signed with the key. If an approval comes next and one is
// remembered for the key, that step is proved, too. The error is [auth.ErrDenied].
func (k *Keeper) Key(a Attempt, key ssh.PublicKey, proved bool) (Step, error) {
	policy := k.Policies.Current()
	who, err := policy.PublicKey(a.Login, key, a.From)
	step, err := a.step(policy, who, err)
	if err == nil && proved && slices.Contains(step.Next, auth.ByApproval) {
		return k.remembered(a, policy, step), nil
	}
	return step, err
}

// Password reports whether a password is valid for a step of the login. It computes
// hashes, each of which takes a processor and tens of MiB, so the caller must bound
// how many calls run at once. The error is [auth.ErrDenied].
func (k *Keeper) Password(a Attempt, password []byte) (Step, error) {
	policy := k.Policies.Current()
	who, err := policy.Password(a.Login, password)
	return a.step(policy, who, err)
}

// Code reports whether an authenticator's code is valid for a step of the login. It
// is never the first step. The error is [auth.ErrDenied].
func (k *Keeper) Code(a Attempt, code string) (Step, error) {
	asked, err := auth.ParseLogin(a.Login)
	if err != nil || a.Before == nil || asked != a.Before.Login || k.Codes == nil || !k.Codes.Spend(asked.User, code) {
		return Step{}, auth.ErrDenied
	}
	return a.step(k.Policies.Current(), auth.Identity{User: asked.User, Login: asked, Method: auth.ByCode}, nil)
}

// step returns the step for a proved identity, with the methods that may follow.
func (a Attempt) step(policy *auth.Policy, who auth.Identity, err error) (Step, error) {
	if err != nil {
		return Step{}, err
	}
	who.From = a.From
	who, next, err := policy.After(a.Before, who)
	return Step{who, next}, err
}

// LogName returns how the log shows a user name that a client sent. People type
// passwords in the place of the user name, and a password may look like a name. So
// only the names of existing users are shown. Others are shown as a digest, with
// LogKey as its key: the same name has the same digest, and nobody without the key
// can try names.
func (k *Keeper) LogName(given string) string {
	login, err := auth.ParseLogin(given)
	switch {
	case err != nil:
		return "not a login"
	case k.LogUnknownUsers || k.Policies.Current().Knows(login.User):
		return login.String()
	}
	mac := hmac.New(sha256.New, k.LogKey)
	mac.Write([]byte(given))
	return "unknown:" + hex.EncodeToString(mac.Sum(nil)[:6])
}

// Replace puts a policy into force for future logins. by names on whose behalf, for
// the audit file. The caller must then check the existing connections with
// [Keeper.CurrentGrant].
func (k *Keeper) Replace(next *auth.Policy, by string) {
	before := k.Policies.Current()
	k.Policies.Replace(next)
	if k.Audit == nil {
		return
	}
	for _, change := range auth.Changes(before, next) {
		k.Audit.Write(audit.Changed{By: by, User: change.User, What: string(change.What), Change: string(change.How), Of: change.Of, Line: change.Line})
	}
}
