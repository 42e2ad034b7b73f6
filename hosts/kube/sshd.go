package kube

import (
	"context"
	"net"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/hostkeys"
)

const sshPort = 22

// openSshd connects to the pod's own sshd. If another pod gets that address a moment
// later, no harm is done: the host key is pinned to the container. The connection
// ends with the container's life.
func (s *Source) openSshd(ctx context.Context, host hosts.Host, f found) (hosts.Entrance, error) {
	life, err := s.enter(host, f)
	if err != nil {
		return hosts.Entrance{}, err
	}
	keys, err := hostkeys.Of(s.state, host.Name, f.id, func() ([]byte, error) { return s.readHostKeys(ctx, f) }, s.log)
	if err != nil {
		return hosts.Entrance{}, hosts.Soon(err, s.patience(f))
	}
	conn, err := s.dialPod(ctx, f, sshPort)
	if err != nil {
		why := "does not answer: its ssh port is reached neither at the pod's address nor by port-forward (is its sshd up?)"
		return hosts.Entrance{}, hosts.Soon(hosts.NewUnreachable(host.Name, why, err), s.patience(f))
	}
	sshd := &hosts.Sshd{Conn: newMortal(conn, life), Host: host.Name, HostKeys: keys, Patience: s.patience(f)}
	return hosts.Entrance{Sshd: sshd, WhyLost: life.whyEnded}, nil
}

// mortal is a connection that is closed when a life ends.
type mortal struct {
	net.Conn
	stop func() bool
}

func newMortal(conn net.Conn, life *life) mortal {
	return mortal{conn, context.AfterFunc(life, func() { conn.Close() })}
}

func (m mortal) Close() error {
	m.stop()
	return m.Conn.Close()
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
