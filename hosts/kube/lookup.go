package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/owners"
)

const (
	// justMade is how long the cluster may take to report a pod that was just
	// created.
	justMade = 2 * time.Second

	cannotLook = "cannot be looked up"
)

// Lookup finds the pod with a host's label. It waits until every namespace has been
// asked for the first time.
func (s *Source) Lookup(ctx context.Context, name string) (hosts.Host, error) {
	select {
	case <-s.synced:
	case <-ctx.Done():
		silence, _ := s.known.anySilence()
		silence.Cause = cmp.Or(silence.Cause, ctx.Err())
		return hosts.Host{}, s.silent(name, cannotLook, silence)
	}
	claims := s.known.claims(name)
	silence, isSilent := s.known.anySilence()
	switch {
	case len(claims) > 0:
	case isSilent:
		return hosts.Host{}, s.silent(name, cannotLook, silence)
	case s.known.wasLeft(name):
		return hosts.Host{}, hosts.Soon(hosts.NewUnreachable(name, "is gone: its pod was deleted a moment ago", nil), untilWaited)
	default:
		why := "does not exist: no pod carries its label"
		return hosts.Host{}, &hosts.Unreachable{Host: name, Why: why, Unknown: true, Patience: justMade}
	}
	f, err := s.owners().Pick(name, claims)
	if err != nil {
		return hosts.Host{}, err
	}
	return hosts.Host{Name: name, Route: f.route, Account: f.account, Container: f.key(), Project: f.namespace, Labels: f.labels}, nil
}

func (s *Source) who() string { return "cluster " + s.cluster }

// Silence returns why the cluster does not answer about its pods, or about those of
// one namespace; the zero value while it answers.
func (s *Source) Silence() hosts.Silence {
	silence, isSilent := s.known.anySilence()
	if isSilent {
		silence.Who = s.who()
	}
	return silence
}

// silent returns the error about a host of which the cluster says nothing.
func (s *Source) silent(host, what string, silence hosts.Silence) error {
	silence.Who = s.who()
	return &hosts.Unreachable{Host: host, Why: what + ": " + silence.String(), Cause: silence.Cause, Silent: silence.String()}
}

// List looks up every known name.
func (s *Source) List(ctx context.Context) []hosts.Host {
	select {
	case <-s.synced:
	case <-ctx.Done():
		return nil
	}
	return hosts.LookupEach(ctx, slices.Values(s.known.names()), s.Lookup)
}

// ComingBack answers from the watch: the pod's container restarts, or the pod is
// being replaced.
func (s *Source) ComingBack(name string) (comingBack, known bool) {
	if claims := s.known.claims(name); len(claims) > 0 {
		return !claims[0].running && (claims[0].returns || claims[0].deleting()) && !claims[0].isOverdue(), true
	}
	wasLeft := s.known.wasLeft(name)
	return wasLeft, wasLeft
}

// owners stores the owners of host names. Anybody who may create pods in a namespace
// can replace every pod of it, so a name belongs to a namespace. Package hosts/boxes
// decides to whom the plain name belongs.
func (s *Source) owners() owners.Names[found] {
	return owners.Names[found]{
		State:  s.state,
		Log:    s.log,
		Kind:   "pod",
		Judge:  "the owner of the gateway",
		KeptAs: func(name string) string { return name + "." + s.cluster },
		Owner:  func(f found) string { return fmt.Sprintf("namespace %s of cluster %s", f.namespace, s.cluster) },
		Called: found.pod,
		Runs:   func(f found) bool { return f.rank() == 0 },
	}
}

// claim makes a name belong to its pod when that is seen for the first time.
func (s *Source) claim(name string) { s.owners().Claim(name, s.known.claims(name)) }
