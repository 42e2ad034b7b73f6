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

// Hosts is where the keeper gets hosts from. Errors of Lookup and Open are
// *[hosts.Unreachable]. It is asked by many connections at once.
type Hosts interface {
	// Lookup finds a host by its name, and asks no engine for it.
	Lookup(ctx context.Context, name string) (hosts.Host, error)

	// List returns the hosts that Lookup would find.
	List(ctx context.Context) []hosts.Host

	// ComingBack reports whether a host is likely to be restarting. It answers
	// at once, by what is known already.
	ComingBack(name string) bool

	// Open opens a host that Lookup found, as an account; "" is the one that
	// the host runs as.
	Open(ctx context.Context, host hosts.Host, account string) (hosts.Entrance, error)
}

// Codes checks the codes of authenticators, which people enter as a second step.
type Codes interface {
	// Spend reports whether a user's code, or recovery code, is right now. Each is
	// right once.
	Spend(user, code string) bool
}

// Keeper decides by the policy in force. Its fields are set before it is used and not
// changed. It is asked by many connections at once.
type Keeper struct {
	Policies   *auth.Policies
	Codes      Codes     // nil: no code is right
	Directory  Directory // nil: none
	Provider   Provider  // nil: none
	Hosts      Hosts
	UserCA     func() ssh.Signer // signs the certificates that hosts trust
	Recordings *recording.Store  // which hosts' terminals are recorded; nil: none
	Audit      *audit.Log        // nil: none
	Log        *slog.Logger      // nil: none

	// LogKey keys the digests by which the log names users that there are not.
	LogKey []byte

	// LogUnknownUsers writes their names out, among them passwords that somebody
	// typed where the name belongs.
	LogUnknownUsers bool

	approvals approvals
}

// Attempt is what an attempt to log in says of itself.
type Attempt struct {
	Login  string         // RFC 4252 §5: the user name
	From   netip.Addr     // where the client is
	Before *auth.Identity // the step that was proved before, on the same connection; nil: none
}

// Step is a step of a login.
type Step struct {
	Who  auth.Identity
	Next []auth.Method // any one of which goes on; nil: the login is over
}

// Key reports whether a key, or a certificate, is a step of the login. A client may ask
// about any key (RFC 4252 §7); only where proved is true has it signed with it, and the
// step is taken. If an approval comes next, and one is remembered for the key, that step
// is taken, too. The error is [auth.ErrDenied].
func (k *Keeper) Key(a Attempt, key ssh.PublicKey, proved bool) (Step, error) {
	policy := k.Policies.Current()
	who, err := policy.PublicKey(a.Login, key, a.From)
	step, err := a.step(policy, who, err)
	if err == nil && proved && slices.Contains(step.Next, auth.ByApproval) {
		return k.remembered(a, policy, step), nil
	}
	return step, err
}

// Password reports whether a password is a step of the login. It computes a hash, which
// takes a processor and tens of MiB, so the caller bounds how many run at once. The error
// is [auth.ErrDenied].
func (k *Keeper) Password(a Attempt, password []byte) (Step, error) {
	policy := k.Policies.Current()
	who, err := policy.Password(a.Login, password)
	return a.step(policy, who, err)
}

// Code reports whether an authenticator's code is a step of the login. It is never the
// first step. The error is [auth.ErrDenied].
func (k *Keeper) Code(a Attempt, code string) (Step, error) {
	asked, err := auth.ParseLogin(a.Login)
	if err != nil || a.Before == nil || asked != a.Before.Login || k.Codes == nil || !k.Codes.Spend(asked.User, code) {
		return Step{}, auth.ErrDenied
	}
	return a.step(k.Policies.Current(), auth.Identity{User: asked.User, Login: asked, Method: auth.ByCode}, nil)
}

// step decides what comes after what was proved.
func (a Attempt) step(policy *auth.Policy, who auth.Identity, err error) (Step, error) {
	if err != nil {
		return Step{}, err
	}
	who.From = a.From
	who, next, err := policy.After(a.Before, who)
	return Step{who, next}, err
}

// LogName is what the log shows of a user name that a client sent. People type
// passwords where a user name belongs, and a password may look like a name. So only the
// name of an existing user is shown. Of others there is a digest, keyed by LogKey: the
// same name has the same digest, and nobody without the key can try names out.
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

// Replace puts a policy into force for logins to come. by says on whose behalf, for the
// audit file. The caller then reviews the connections that there are, by
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
