package hosts

import (
	"context"
	"errors"
	"io"
	"time"

	"berth/state"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/crypto/ssh"
)

// maxHostKeys is far more than the public host keys of an sshd take.
const maxHostKeys = 64 << 10

// hostKeys are the keys pinned to a container, read from the container itself
// through the engine when it is first entered. What the network answers is
// never believed.
func (d *Directory) hostKeys(ctx context.Context, host Host, in container.InspectResponse) ([]ssh.PublicKey, error) {
	pinned, err := d.state.PinnedHostKeys(host.Container)
	if err != nil || len(pinned) > 0 {
		return pinned, wrapPin(host, err)
	}
	text, err := d.output(ctx, in, "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub")
	if err != nil {
		return nil, unreachable(host.Name, "keeps its ssh host keys to itself: /etc/ssh/ssh_host_*_key.pub cannot be read in it", err)
	}
	keys, err := state.ParsePublicKeys(text)
	if err != nil || len(keys) == 0 {
		return nil, unreachable(host.Name, "has no ssh host keys in /etc/ssh (is its sshd set up?)", err)
	}
	if err := d.state.PinHostKeys(host.Container, keys); err != nil {
		if pinned, _ := d.state.PinnedHostKeys(host.Container); len(pinned) > 0 { // another login was first
			return pinned, nil
		}
		return nil, wrapPin(host, err)
	}
	d.log.Info("host keys pinned", "host", host.Name, "container", host.Container, "keys", len(keys))
	return keys, nil
}

func wrapPin(host Host, err error) error {
	if err == nil {
		return nil
	}
	return unreachable(host.Name, "cannot be entered: its pinned host keys cannot be read or written on the gateway", err)
}

// output runs a fixed command as the container's root and returns what it prints.
func (d *Directory) output(ctx context.Context, in container.InspectResponse, command ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	exec, err := d.exec(ctx, in, "0", command...)
	if err != nil {
		return nil, err
	}
	defer exec.close()
	exec.closeIn()
	out, err := io.ReadAll(io.LimitReader(exec.out, maxHostKeys))
	if err != nil {
		return nil, err
	}
	return out, d.exitZero(ctx, exec.id)
}

// exitZero waits for the engine to know that an exec has ended, which it may
// do a moment after the end of its output.
func (d *Directory) exitZero(ctx context.Context, execID string) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		result, err := d.engine.ExecInspect(ctx, execID, client.ExecInspectOptions{})
		switch {
		case err != nil:
			return err
		case !result.Running && result.ExitCode == 0:
			return nil
		case !result.Running:
			return errors.New("the command failed in the container")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
