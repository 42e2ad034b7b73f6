package docker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/berth-ssh/berth/hosts"
)

// justMade is how long the engine may take to report a container that was just
// created.
const justMade = 2 * time.Second

// Lookup finds a host by its name: the container that the configuration names for it,
// or else the one with its label. It waits until the engine has been asked for the
// first time.
func (s *Source) Lookup(ctx context.Context, name string) (hosts.Host, error) {
	select {
	case <-s.synced:
	case <-ctx.Done():
		return hosts.Host{}, s.silent(name, "cannot be looked up", ctx.Err())
	}
	if entry, isNamed := s.entries()[name]; isNamed {
		return s.lookupEntry(entry)
	}
	return s.lookupLabel(name)
}

func (s *Source) lookupEntry(entry hosts.Entry) (hosts.Host, error) {
	f, ok := s.known.byEntry(entry.Name)
	ok = ok && f.isContainer(entry.Container) // the entry may have named another container before
	switch {
	case ok:
		return f.asHost(entry.Name, entry.Route, entry.Account), nil
	case !s.known.isFollowing():
		return hosts.Host{}, s.silent(entry.Name, "cannot be looked up", nil)
	}
	return hosts.Host{}, hosts.Soon(hosts.NewUnreachable(entry.Name, "does not exist: there is no container "+entry.Container, nil), s.patienceWith(entry.Name))
}

func (s *Source) lookupLabel(name string) (hosts.Host, error) {
	claims := s.known.claims(name)
	switch {
	case len(claims) == 0 && !s.known.isFollowing():
		return hosts.Host{}, s.silent(name, "cannot be looked up", nil)
	case len(claims) == 0 && s.known.wasLeft(name):
		return hosts.Host{}, hosts.Soon(hosts.NewUnreachable(name, "is gone: its container was removed a moment ago", nil), comingBack)
	case len(claims) == 0:
		why := "does not exist: no container carries its label"
		if f, ok := s.known.byImage(name); ok {
			why = fmt.Sprintf("does not exist: container %s has its label from its image only, where it does not count; "+
				"if it is to be the host, gateway.yaml says so: hosts: { %s: { route: exec, container: %s } }", f.name, name, f.name)
		}
		return hosts.Host{}, &hosts.Unreachable{Host: name, Why: why, Unknown: true, Patience: justMade}
	}
	f, err := s.owners().Pick(name, claims)
	if err != nil {
		return hosts.Host{}, err
	}
	return f.asHost(name, f.route, f.account), nil
}

func (f found) asHost(name, route, account string) hosts.Host {
	return hosts.Host{Name: name, Route: route, Account: account, Container: f.id, Project: f.project, Labels: f.labels}
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

// patienceWith returns how long a host that does not exist may still come.
func (s *Source) patienceWith(name string) time.Duration {
	if s.known.wasLeft(name) {
		return comingBack
	}
	return justMade
}

// ComingBack answers from the events: the container is being restarted, or it was
// removed a moment ago, for example to be recreated.
func (s *Source) ComingBack(name string) (comingBack, known bool) {
	_, isNamed := s.entries()[name]
	if f, ok := s.known.byEntry(name); ok && isNamed {
		return f.isComingBack(), true
	}
	if claims := s.known.claims(name); !isNamed && len(claims) > 0 {
		return claims[0].isComingBack(), true
	}
	wasLeft := s.known.wasLeft(name)
	return wasLeft, isNamed || wasLeft
}
