package hosts

import (
	"context"
	"fmt"
	"net"
	"time"

	"berth/docker"
	"berth/labels"
	"berth/machine"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"golang.org/x/crypto/ssh"
)

// dialTimeout bounds the connect to a host's sshd.
const dialTimeout = 5 * time.Second

// Route is an open way into a host, for one connection of a person. Exactly
// one of the two is set, and is the caller's to close.
type Route struct {
	Sshd    *Sshd           // join this SSH server
	Machine machine.Machine // be this machine's SSH server
}

// Sshd is a connection to an SSH server.
type Sshd struct {
	net.Conn
	Host     string          // its name, for messages
	HostKeys []ssh.PublicKey // it must show one of these
	Key      ssh.Signer      // logs in; nil: a certificate of the user CA does
	Patience time.Duration   // how long it is worth trying again if it does not let us in
}

// Open opens a route to an account of a host that was looked up. Errors are
// *[Unreachable].
func (d *Directory) Open(ctx context.Context, host Host, account string) (Route, error) {
	switch host.Route {
	case labels.RouteLocal:
		return d.openLocal(ctx, host, account)
	case labels.RouteExec:
		return d.openExec(ctx, host, account)
	case labels.RouteSshd:
		if account == "" {
			return Route{}, unreachable(host.Name, "says no account to log in as: grant one in gateway.yaml (host: account)", nil)
		}
		sshd, err := d.openSshd(ctx, host)
		return Route{Sshd: sshd}, err
	default:
		return Route{}, unreachable(host.Name, fmt.Sprintf("has an unknown route %q: sshd and exec are known", host.Route), nil)
	}
}

func (d *Directory) openSshd(ctx context.Context, host Host) (*Sshd, error) {
	if host.Container != "" {
		return d.openContainerSshd(ctx, host)
	}
	conn, err := dial(ctx, host.Name, host.entry.Address)
	if err != nil {
		return nil, err
	}
	return &Sshd{Conn: conn, Host: host.Name, HostKeys: []ssh.PublicKey{host.entry.HostKey}, Key: host.entry.Key}, nil
}

// openContainerSshd asks the engine for the address at every connect. That
// another container may have it a moment later is harmless: the host key is
// pinned to the id.
func (d *Directory) openContainerSshd(ctx context.Context, host Host) (*Sshd, error) {
	found, err := d.running(ctx, host)
	if err != nil {
		return nil, err
	}
	if !docker.IsLocal(d.engine) {
		return nil, unreachable(host.Name, "is on another machine than the gateway, whose networks are not reached from here: route exec would be", nil)
	}
	address, ok := addressOf(found)
	if !ok {
		return nil, unreachable(host.Name, "has no address on a network of this machine: route exec would need none", nil)
	}
	keys, err := d.hostKeys(ctx, host, found)
	if err != nil {
		return nil, soon(err, patience(found))
	}
	conn, err := dial(ctx, host.Name, net.JoinHostPort(address, "22"))
	if err != nil {
		return nil, soon(err, patience(found))
	}
	return &Sshd{Conn: conn, Host: host.Name, HostKeys: keys, Patience: patience(found)}, nil
}

// patience is for what runs in a container, and may still be starting up.
func patience(found container.InspectResponse) time.Duration {
	if isRecent(found.State.StartedAt) {
		return comingBack
	}
	return brief
}

func isRecent(engineTime string) bool {
	at, err := time.Parse(time.RFC3339Nano, engineTime)
	return err == nil && time.Since(at) < comingBack
}

func dial(ctx context.Context, name, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, unreachable(name, "does not answer: nothing listens on its ssh port (is its sshd up?)", err)
	}
	return conn, nil
}

func addressOf(found container.InspectResponse) (string, bool) {
	if found.NetworkSettings == nil {
		return "", false
	}
	for _, network := range found.NetworkSettings.Networks {
		if network != nil && network.IPAddress.IsValid() {
			return network.IPAddress.String(), true
		}
	}
	return "", false
}

// running is the host's container, if something can run in it.
func (d *Directory) running(ctx context.Context, host Host) (container.InspectResponse, error) {
	found, err := d.inspect(ctx, host.Container)
	switch {
	case errdefs.IsNotFound(err):
		return found, soon(unreachable(host.Name, "is gone: its container was removed", nil), comingBack)
	case err != nil:
		return found, unreachable(host.Name, "cannot be entered: the engine does not answer", err)
	case found.State.Paused:
		return found, unreachable(host.Name, "is paused: docker unpause "+found.Name[1:], nil)
	case found.State.Restarting:
		return found, soon(unreachable(host.Name, "is restarting, again and again: see docker logs "+found.Name[1:], nil), comingBack)
	case !found.State.Running && isRecent(found.State.FinishedAt):
		return found, soon(unreachable(host.Name, fmt.Sprintf("is not running (%s a moment ago)", found.State.Status), nil), comingBack)
	case !found.State.Running:
		return found, unreachable(host.Name, fmt.Sprintf("is not running (%s)", found.State.Status), nil)
	}
	return found, nil
}
