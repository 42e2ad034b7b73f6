package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
)

// brief is the patience with a host that runs, which may be about to stop or to start
// again.
const brief = 3 * time.Second

// Open opens a container that was looked up, by its id.
func (s *Source) Open(ctx context.Context, host hosts.Host, account string) (hosts.Entrance, error) {
	f, err := s.running(host)
	if err != nil {
		return hosts.Entrance{}, err
	}
	if f.person, err = s.permitted(ctx, host, f); err != nil {
		return hosts.Entrance{}, err
	}
	var opened hosts.Entrance
	switch host.Route {
	case labels.RouteExec:
		opened, err = s.openExec(ctx, host, f, account)
	case labels.RouteSshd:
		opened, err = s.openSshd(ctx, host, f)
	default:
		err = hosts.NewUnreachable(host.Name, fmt.Sprintf("has an unknown route %q: sshd and exec are known", host.Route), nil)
	}
	if !f.before.at.IsZero() {
		why := func(context.Context) string { return f.before.why }
		opened.Before = hosts.Before{Ended: f.before.at, Since: f.started, Why: why}
	}
	return opened, err
}

// enter returns the life of a host's container.
func (s *Source) enter(host hosts.Host, f found) (*life, error) {
	life, err := s.known.enter(f)
	if err != nil {
		return nil, hosts.Soon(hosts.NewUnreachable(host.Name, "cannot be entered: "+err.Error(), nil), untilWaited)
	}
	return life, nil
}

// running returns the host's container if a command can run in it.
func (s *Source) running(host hosts.Host) (found, error) {
	f, isThere := s.known.byKey(host.Container)
	switch {
	case !isThere:
		return f, hosts.Soon(hosts.NewUnreachable(host.Name, "is gone: its pod was deleted or started over", nil), untilWaited)
	case f.isOverdue():
		why := fmt.Sprintf("%s, and node %s has not ended it since %s", f.whyEnding(), f.node, f.deletion.due.Format("15:04"))
		return f, hosts.NewUnreachable(host.Name, why, nil)
	case f.deleting():
		return f, hosts.Soon(hosts.NewUnreachable(host.Name, f.whyEnding(), nil), untilWaited)
	case !f.running && f.returns:
		return f, hosts.Soon(hosts.NewUnreachable(host.Name, f.why, nil), untilWaited)
	case !f.running:
		return f, hosts.Soon(hosts.NewUnreachable(host.Name, f.why, nil), brief)
	}
	return f, nil
}

// patience returns how long it is worth waiting for a program in a container that may
// still be starting up.
func (s *Source) patience(f found) time.Duration {
	if time.Since(f.started) < comingBack {
		return comingBack
	}
	return brief
}

// isStill asks whether a container is still what it was when it was looked up. If so,
// everything that was executed before by the pod's name ran in that container, and
// not in another one of the same name.
func (s *Source) isStill(ctx context.Context, f found) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pod, err := s.api.get(ctx, f.namespace, f.name)
	if apierrors.IsNotFound(err) {
		return errors.New("its pod was deleted meanwhile")
	}
	if err != nil {
		return err
	}
	if now := foundIn(pod); now.uid != f.uid || now.id != f.id || now.host != f.host {
		return errors.New("it was started over meanwhile")
	}
	return nil
}
