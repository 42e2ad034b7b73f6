package docker

import (
	"context"

	"berth/docker"
	"berth/hosts"
	"berth/state"

	"github.com/moby/moby/api/types/container"
	"golang.org/x/crypto/ssh"
)

// maxHostKeys is far more than the public host keys of an sshd take.
const maxHostKeys = 64 << 10

// hostKeys are the keys pinned to a container, read from the container itself
// through the engine when it is first entered. What the network answers is
// never believed.
func (s *Source) hostKeys(ctx context.Context, host hosts.Host, in container.InspectResponse) ([]ssh.PublicKey, error) {
	pinned, err := s.state.PinnedHostKeys(host.Container)
	if err != nil || len(pinned) > 0 {
		return pinned, wrapPin(host, err)
	}
	text, err := s.readHostKeys(ctx, in)
	if err != nil {
		return nil, unreachable(host.Name, "keeps its ssh host keys to itself: /etc/ssh/ssh_host_*_key.pub cannot be read in it", err)
	}
	keys, err := state.ParsePublicKeys(text)
	if err != nil || len(keys) == 0 {
		return nil, unreachable(host.Name, "has no ssh host keys in /etc/ssh (is its sshd set up?)", err)
	}
	if err := s.state.PinHostKeys(host.Container, keys); err != nil {
		if pinned, _ := s.state.PinnedHostKeys(host.Container); len(pinned) > 0 { // another login was first
			return pinned, nil
		}
		return nil, wrapPin(host, err)
	}
	s.log.Info("host keys pinned", "host", host.Name, "container", host.Container, "keys", len(keys))
	return keys, nil
}

// readHostKeys runs a fixed command, as the container's root.
func (s *Source) readHostKeys(ctx context.Context, in container.InspectResponse) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return docker.Output(ctx, s.engine.Client, in.ID, docker.Command{
		User: "0",
		Env:  without(in.Config.Env),
		Args: []string{"sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub"},
	}, maxHostKeys)
}

func wrapPin(host hosts.Host, err error) error {
	if err == nil {
		return nil
	}
	return unreachable(host.Name, "cannot be entered: its pinned host keys cannot be read or written on the gateway", err)
}
