package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/hostkeys"
	"github.com/berth-ssh/berth/labels"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
)

// brief is the patience with a host that runs, which may be about to stop or to start
// again.
const brief = 3 * time.Second

// Open opens a container that was looked up, by its id. It asks the engine once for
// the container's present state.
func (s *Source) Open(ctx context.Context, host hosts.Host, account string) (hosts.Entrance, error) {
	in, err := s.running(ctx, host)
	if err != nil {
		return hosts.Entrance{}, err
	}
	var opened hosts.Entrance
	switch host.Route {
	case labels.RouteExec:
		opened, err = s.openExec(ctx, host, in, account)
	case labels.RouteSshd:
		opened.Sshd, err = s.openSshd(ctx, host, in, account)
	default:
		err = hosts.NewUnreachable(host.Name, fmt.Sprintf("has an unknown route %q: sshd and exec are known", host.Route), nil)
	}
	opened.Before = s.before(in)
	return opened, err
}

// before returns how the container's previous run ended.
func (s *Source) before(in container.InspectResponse) hosts.Before {
	ended := docker.EndBefore(in)
	if ended.IsZero() {
		return hosts.Before{}
	}
	since, _ := time.Parse(time.RFC3339Nano, in.State.StartedAt)
	return hosts.Before{Ended: ended, Since: since, Why: func(ctx context.Context) string {
		return docker.WhyEndedBefore(ctx, s.engine.Client, in).Text
	}}
}

// openSshd asks the engine for the address at every connect. If another container
// gets that address a moment later, no harm is done: the host key is pinned to the
// id.
func (s *Source) openSshd(ctx context.Context, host hosts.Host, in container.InspectResponse, account string) (*hosts.Sshd, error) {
	if !docker.IsLocal(s.engine.Client) {
		return nil, hosts.NewUnreachable(host.Name, "is on another box than the gateway, whose networks are not reached from here: with the label berth.route=exec it would be entered", nil)
	}
	address, ok := addressOf(in)
	if !ok {
		return nil, hosts.NewUnreachable(host.Name, "has no address on a network of this machine: route exec would need none", nil)
	}
	if perPerson(in) {
		if err := s.makeAccount(ctx, in, account); err != nil {
			return nil, hosts.NewUnreachable(host.Name, fmt.Sprintf("cannot be entered as %s: %v", account, err), nil)
		}
	}
	if err := s.trust(ctx, in); err != nil { // it may already trust the right one
		s.log.Warn("a host may not let the gateway in", "host", host.Name, "err", err)
	}
	keys, err := hostkeys.Of(s.state, host.Name, host.Container, func() ([]byte, error) { return s.readHostKeys(ctx, in) }, s.log)
	if err != nil {
		return nil, hosts.Soon(err, patience(in))
	}
	conn, err := hosts.DialSshd(ctx, host.Name, net.JoinHostPort(address, "22"))
	if err != nil {
		return nil, hosts.Soon(err, patience(in))
	}
	return &hosts.Sshd{Conn: conn, Host: host.Name, HostKeys: keys, Patience: patience(in), WhyNot: func(ctx context.Context) string {
		return s.whyNot(ctx, host, account)
	}}, nil
}

// readHostKeys runs a fixed command as the container's root.
func (s *Source) readHostKeys(ctx context.Context, in container.InspectResponse) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	command := docker.Command{User: "0", Env: without(in.Config.Env), Args: hostkeys.Command()}
	return docker.Output(ctx, s.engine.Client, in.ID, command, hostkeys.Most)
}

// whyNot asks the engine whether the account exists, by running a harmless command as
// it.
func (s *Source) whyNot(ctx context.Context, host hosts.Host, account string) string {
	err := docker.Run(ctx, s.engine.Client, host.Container, docker.Command{User: account, Args: []string{"true"}})
	if errors.Is(err, docker.ErrNoAccount) {
		return noAccount(account)
	}
	return ""
}

// patience returns how long it is worth waiting for a program in a container that may
// still be starting up.
func patience(in container.InspectResponse) time.Duration {
	if isRecent(in.State.StartedAt) {
		return comingBack
	}
	return brief
}

func isRecent(engineTime string) bool {
	at, err := time.Parse(time.RFC3339Nano, engineTime)
	return err == nil && time.Since(at) < comingBack
}

func addressOf(in container.InspectResponse) (string, bool) {
	if in.NetworkSettings == nil {
		return "", false
	}
	for _, network := range in.NetworkSettings.Networks {
		if network != nil && network.IPAddress.IsValid() {
			return network.IPAddress.String(), true
		}
	}
	return "", false
}

// running returns the host's container if a command can run in it.
func (s *Source) running(ctx context.Context, host hosts.Host) (container.InspectResponse, error) {
	if s.Silence().Cause != nil && s.isElsewhere() { // it is asked all the time anyway, and a person need not wait for it
		return container.InspectResponse{}, s.silent(host.Name, "cannot be entered", nil)
	}
	in, err := s.inspect(ctx, host.Container)
	switch {
	case errdefs.IsNotFound(err):
		return in, hosts.Soon(hosts.NewUnreachable(host.Name, "is gone: its container was removed", nil), comingBack)
	case err != nil:
		return in, s.silent(host.Name, "cannot be entered", err)
	case in.State.Paused:
		return in, hosts.NewUnreachable(host.Name, "is paused: docker unpause "+in.Name[1:], nil)
	case in.State.Restarting:
		return in, hosts.Soon(s.ended(host, in, "is restarting, again and again: see docker logs "+in.Name[1:]), comingBack)
	case !in.State.Running && isRecent(in.State.FinishedAt):
		return in, hosts.Soon(s.ended(host, in, fmt.Sprintf("is not running (%s a moment ago)", in.State.Status)), comingBack)
	case !in.State.Running:
		return in, s.ended(host, in, fmt.Sprintf("is not running (%s)", in.State.Status))
	}
	return in, nil
}

// ended returns an error that can also tell why the container ended.
func (s *Source) ended(host hosts.Host, in container.InspectResponse, why string) error {
	return &hosts.Unreachable{Host: host.Name, Why: why, Details: func(ctx context.Context) string {
		return docker.WhyEnded(ctx, s.engine.Client, in).Text
	}}
}
