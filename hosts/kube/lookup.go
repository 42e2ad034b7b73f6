package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/printable"
)

const (
	// justMade is how long the cluster may still be about to tell of a pod that was
	// made just now.
	justMade = 2 * time.Second

	maxOwner = 200 // runes of whose a name is

	cannotLook = "cannot be looked up"
)

// Lookup finds the pod that carries a host's label. It waits until every namespace was
// asked for the first time.
func (s *Source) Lookup(ctx context.Context, name string) (hosts.Host, error) {
	select {
	case <-s.synced:
	case <-ctx.Done():
		silence, _ := s.known.anySilence()
		silence.cause = cmp.Or(silence.cause, ctx.Err())
		return hosts.Host{}, s.silent(name, cannotLook, silence)
	}
	claims := s.known.claims(name)
	silence, isSilent := s.known.anySilence()
	switch {
	case len(claims) > 0:
	case isSilent:
		return hosts.Host{}, s.silent(name, cannotLook, silence)
	case s.known.wasLeft(name):
		return hosts.Host{}, soon(unreachable(name, "is gone: its pod was deleted a moment ago", nil), untilWaited)
	default:
		why := "does not exist: no pod carries its label"
		return hosts.Host{}, &hosts.Unreachable{Host: name, Why: why, Unknown: true, Patience: justMade}
	}
	own, err := s.ofOwner(name, claims)
	switch {
	case err != nil:
		return hosts.Host{}, err
	case len(own) > 1 && own[1].rank() == 0:
		return hosts.Host{}, ambiguous(name, own)
	}
	f := own[0]
	return hosts.Host{Name: name, Route: f.route, Account: f.account, Container: f.key(), Project: f.namespace, Labels: f.labels}, nil
}

// silent says of a host that the cluster does not answer.
func (s *Source) silent(host, what string, silence silence) error {
	why := fmt.Sprintf("%s: cluster %s %s", what, s.cluster, silence.what())
	if !silence.since.IsZero() {
		why += " since " + silence.since.Format("15:04")
	}
	return &hosts.Unreachable{Host: host, Why: why, Cause: silence.cause, Silent: true}
}

// List looks up every name that is known.
func (s *Source) List(ctx context.Context) []hosts.Host {
	select {
	case <-s.synced:
	case <-ctx.Done():
		return nil
	}
	var all []hosts.Host
	for _, name := range s.known.names() {
		if host, err := s.Lookup(ctx, name); err == nil {
			all = append(all, host)
		}
	}
	return all
}

// ComingBack answers by what was watched: the pod's container restarts, or the pod is
// being replaced.
func (s *Source) ComingBack(name string) (comingBack, known bool) {
	if claims := s.known.claims(name); len(claims) > 0 {
		return !claims[0].running && (claims[0].returns || claims[0].deleting()) && !claims[0].isOverdue(), true
	}
	wasLeft := s.known.wasLeft(name)
	return wasLeft, wasLeft
}

// owner is whose a pod's host is: whoever may make pods in a namespace can replace
// every pod of it, so a name is a namespace's.
func (s *Source) owner(f found) string {
	return fmt.Sprintf("namespace %s of cluster %s", f.namespace, s.cluster)
}

// ownName is the name by which the owner of a host of this cluster is kept; whose the
// plain name is, package hosts/boxes decides.
func (s *Source) ownName(name string) string { return name + "." + s.cluster }

// claim keeps in the state directory whose a host name is, when it is first seen.
func (s *Source) claim(name string) {
	claims := s.known.claims(name)
	if len(claims) == 0 || !s.haveOneOwner(claims) {
		return
	}
	if _, err := s.state.ClaimHost(s.ownName(name), s.owner(claims[0])); err != nil {
		s.log.Debug("owner of a host name not kept", "host", name, "err", err)
	}
}

func (s *Source) haveOneOwner(claims []found) bool {
	return !slices.ContainsFunc(claims, func(f found) bool { return s.owner(f) != s.owner(claims[0]) })
}

// ofOwner returns those of a name's pods that are of its owner.
func (s *Source) ofOwner(name string, claims []found) ([]found, error) {
	owner, err := s.state.Owner(s.ownName(name))
	if err != nil {
		return nil, unreachable(name, "cannot be looked up: the gateway cannot read whose its name is", err)
	}
	own := slices.DeleteFunc(slices.Clone(claims), func(f found) bool { return s.owner(f) != owner })
	switch {
	case len(own) > 0:
		return own, nil
	case !s.haveOneOwner(claims):
		return nil, ambiguous(name, claims)
	case owner == "":
		return claims, s.state.GiveHost(s.ownName(name), s.owner(claims[0]))
	}
	return nil, unreachable(name, fmt.Sprintf("is not entered: its name belongs to %s, and pod %s carries it now; "+
		"if it is to have it, the owner of the gateway runs: berth-gateway forget %s", printable.Line(owner, maxOwner), claims[0].pod(), s.ownName(name)), nil)
}

func ambiguous(name string, claims []found) error {
	why := fmt.Sprintf("is ambiguous: pods %s and %s both carry its label", claims[0].pod(), claims[1].pod())
	return unreachable(name, why, nil)
}

func unreachable(host, why string, cause error) error {
	return &hosts.Unreachable{Host: host, Why: why, Cause: cause}
}

// soon marks an error as worth trying again for so long.
func soon(err error, patience time.Duration) error {
	if u, ok := errors.AsType[*hosts.Unreachable](err); ok {
		u.Patience = patience
	}
	return err
}
