package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
)

// whileUnknown is how long a host that nobody knows may still be about to be created.
// For as long, Enter is tried again for a host that exists but is not granted, so
// that the two look alike.
const whileUnknown = 2 * time.Second

// errUserRC is why a credential without user-rc enters no host by its key_file: only
// a certificate can tell an sshd not to run ~/.ssh/rc.
const errUserRC = "runs ~/.ssh/rc, which the key that logged in does not permit (no-user-rc, restrict)"

// Admitted is what is known about a login before its host is reached.
type Admitted struct {
	Limits auth.Limits
	Host   string // to which the login leads
}

// Admit decides, by names alone, to which host a login leads. The error is an
// [*auth.Refusal]; the person's limits are returned also with an error.
func (k *Keeper) Admit(ctx context.Context, who auth.Identity) (Admitted, error) {
	policy := k.Policies.Current()
	host, err := policy.Host(who, func() []auth.Host { return k.known(ctx) })
	return Admitted{policy.Limits(who), host}, err
}

// known returns, for all existing hosts, the properties to which grants refer.
func (k *Keeper) known(ctx context.Context) []auth.Host {
	var all []auth.Host
	for _, host := range k.Hosts.List(ctx) {
		all = append(all, grantedBy(host))
	}
	return all
}

// grantedBy returns the properties of a host to which grants refer.
func grantedBy(host hosts.Host) auth.Host {
	return auth.Host{Name: host.Name, Exact: host.Exact, Box: host.Box, Account: host.Account, Project: host.Project, Labels: host.Labels}
}

// RestartingHost returns the host to which a login leads if that is restarting; else
// "". It does not wait: it uses only what is known already.
func (k *Keeper) RestartingHost(who auth.Identity) (host string) {
	host, err := k.Policies.Current().Host(who, nil)
	if err != nil || !k.Hosts.ComingBack(host) {
		return ""
	}
	return host
}

// Entered is a host that was opened for a person.
type Entered struct {
	Host     hosts.Host
	Account  string // in the host
	Target   auth.Target
	Limits   auth.Limits
	Recorded bool // its terminals are recorded

	// Entrance must be closed by the caller. For an sshd it always has a Key.
	Entrance hosts.Entrance
}

// Enter looks the name up, decides about the host that has this name now, and opens
// exactly that one. It returns when the host is open, or when ctx ends. The error is
// an [*hosts.Unreachable] or an [*auth.Refusal], whose text is for the person.
func (k *Keeper) Enter(ctx context.Context, who auth.Identity, name string) (*Entered, error) {
	policy := k.Policies.Current()
	host, err := k.Hosts.Lookup(ctx, name) // from here on the container's id is used
	if err != nil {
		return nil, hide(err, policy, who, name)
	}
	granted, err := policy.Target(who, grantedBy(host))
	if err != nil {
		return nil, hide(err, policy, who, name)
	}
	if err := enforceable(granted.Grant, host); err != nil {
		return nil, err
	}
	e := &Entered{
		Host: host, Account: cmp.Or(granted.Account, host.Account), Target: granted, Limits: policy.Limits(who),
		Recorded: k.Recordings.Wants(host.Name, granted.Grant.Record),
	}
	host.Person = who.User
	if e.Entrance, err = k.Hosts.Open(ctx, host, e.Account); err != nil {
		return nil, err
	}
	if sshd := e.Entrance.Sshd; sshd != nil {
		if err := k.equip(sshd, who.User, e); err != nil {
			sshd.Close()
			return nil, err
		}
	}
	return e, nil
}

// equip makes sure that the gateway can log in to an sshd: with the host's own key,
// or with a certificate of the user CA.
func (k *Keeper) equip(sshd *hosts.Sshd, person string, e *Entered) (err error) {
	if sshd.Key == nil {
		sshd.Key, err = newCertificate(k.UserCA(), person, e.Account, e.Target.Grant.Restrictions)
		return err
	}
	if e.Target.Grant.NoUserRC {
		return &hosts.Unreachable{Host: sshd.Host, Why: errUserRC}
	}
	return nil
}

// hide replaces an error about a host whose name is not granted: text and time must
// be the same as for a host that exists and belongs to others.
func hide(err error, policy *auth.Policy, who auth.Identity, name string) error {
	asked := auth.Host{Name: name}
	if why := hosts.AsUnreachable(err); why != nil {
		asked.Box = why.Box
	}
	_, refusal := policy.Target(who, asked)
	if refusal == nil {
		return err
	}
	why, isOfHost := strings.CutPrefix(refusal.Error(), fmt.Sprintf("host %q ", name))
	if !isOfHost {
		return refusal
	}
	hidden := &hosts.Unreachable{Host: name, Why: why, Cause: err, Patience: whileUnknown}
	if unreachable, ok := errors.AsType[*hosts.Unreachable](err); ok {
		hidden.Patience = max(hidden.Patience, unreachable.Patience)
	}
	return hidden
}

// enforceable refuses a grant with limits that the host's route cannot enforce.
func enforceable(grant auth.Grant, host hosts.Host) error {
	if grant.LimitsSftp() && host.Route == labels.RouteSshd {
		why := "is granted with sftp that is read-only or in a directory, which its own sshd does not hold to; use route exec, or sftp: no"
		return &hosts.Unreachable{Host: host.Name, Why: why}
	}
	return nil
}

// CurrentGrant returns the grant that is valid now for a connection that has entered
// a host as an account. The error, an [*auth.Refusal], says why there is none.
func (k *Keeper) CurrentGrant(who auth.Identity, host auth.Host, account string) (auth.Grant, error) {
	return k.Policies.Current().CurrentGrant(who, host, account)
}
