package kube

import (
	"context"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/hostkeys"
)

const sshPort = 22

// openSshd connects to the pod's own sshd. That another pod may have its address a
// moment later is harmless: the host key is pinned to the container.
func (s *Source) openSshd(ctx context.Context, host hosts.Host, f found) (*hosts.Sshd, error) {
	keys, err := hostkeys.Of(s.state, host.Name, f.id, func() ([]byte, error) { return s.readHostKeys(ctx, f) }, s.log)
	if err != nil {
		return nil, soon(err, s.patience(f))
	}
	conn, err := s.dialPod(ctx, f, sshPort)
	if err != nil {
		why := "does not answer: its ssh port is reached neither at the pod's address nor by port-forward (is its sshd up?)"
		return nil, soon(unreachable(host.Name, why, err), s.patience(f))
	}
	return &hosts.Sshd{Conn: conn, Host: host.Name, HostKeys: keys, Patience: s.patience(f)}, nil
}

// readHostKeys reads the keys in the container, which must still be the one that was
// looked up.
func (s *Source) readHostKeys(ctx context.Context, f found) ([]byte, error) {
	text, err := s.output(ctx, f, hostkeys.Command()...)
	if err != nil {
		return nil, err
	}
	return text, s.isStill(ctx, f)
}
