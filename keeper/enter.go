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

// whileUnknown is how long a host that nobody knows may still be about to be
// made, and so how long one that is not this person's is tried again.
const whileUnknown = 2 * time.Second

// errUserRC is why a credential without user-rc enters no host by its key_file:
// only a certificate tells an sshd not to run ~/.ssh/rc.
const errUserRC = "runs ~/.ssh/rc, which the key that logged in does not permit (no-user-rc, restrict)"

// Admitted is what is known of a person who has logged in, before a host is reached.
type Admitted struct {
	Limits auth.Limits
	Host   string // that the login is about
}

// Admit decides by names alone which host a login is about. The error is an
// [*auth.Refusal]; the limits are those of the person also then.
func (k *Keeper) Admit(ctx context.Context, who auth.Identity) (Admitted, error) {
	policy := k.Policies.Current()
	host, err := policy.Host(who, func() []auth.Host { return k.known(ctx) })
	return Admitted{policy.Limits(who), host}, err
}

// known is what grants go by of the hosts that there are.
func (k *Keeper) known(ctx context.Context) []auth.Host {
	var all []auth.Host
	for _, host := range k.Hosts.List(ctx) {
		all = append(all, grantedBy(host))
	}
	return all
}

// grantedBy is what grants go by of a host.
func grantedBy(host hosts.Host) auth.Host {
	return auth.Host{Name: host.Name, Exact: host.Exact, Box: host.Box, Account: host.Account, Project: host.Project, Labels: host.Labels}
}

// RestartingHost is the host that a login is about, if it is restarting; else "". It
// answers at once, by what is known already.
func (k *Keeper) RestartingHost(who auth.Identity) (host string) {
	host, err := k.Policies.Current().Host(who, nil)
	if err != nil || !k.Hosts.ComingBack(host) {
		return ""
	}
	return host
}

// Entered is a host that is open for a person.
type Entered struct {
	Host     hosts.Host
	Account  string // in the host
	Target   auth.Target
	Limits   auth.Limits
	Recorded bool // what its terminals show is

	// Entrance is the caller's to close. An sshd has a Key always.
	Entrance hosts.Entrance
}

// Enter looks the name up, and decides by what it means now: that, and
// nothing else of the name, is opened. The error is for the person, a
// [*hosts.Unreachable] or an [*auth.Refusal]. It waits until the host is open, or
// until ctx ends.
func (k *Keeper) Enter(ctx context.Context, who auth.Identity, name string) (*Entered, error) {
	policy := k.Policies.Current()
	host, err := k.Hosts.Lookup(ctx, name) // a name becomes a container's id
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

// equip sees to it that a person can be logged in to an sshd: by the host's own key,
// or by a certificate of the user CA.
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

// hide keeps from a person what is known of a host that by its name alone is
// not granted: the words and the time are those of a host that is there and is
// somebody else's.
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

// enforceable refuses a grant with what the host's route cannot hold back.
func enforceable(grant auth.Grant, host hosts.Host) error {
	if grant.LimitsSftp() && host.Route == labels.RouteSshd {
		why := "is granted with sftp that is read-only or in a directory, which its own sshd does not hold to; use route exec, or sftp: no"
		return &hosts.Unreachable{Host: host.Name, Why: why}
	}
	return nil
}

// CurrentGrant is the grant that holds now for a connection that has entered a host as
// an account. The error, an [*auth.Refusal], says why none does.
func (k *Keeper) CurrentGrant(who auth.Identity, host auth.Host, account string) (auth.Grant, error) {
	return k.Policies.Current().CurrentGrant(who, host, account)
}
