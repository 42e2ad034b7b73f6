// Package hostkeys pins the host keys of sshds in containers. They are read inside
// the container, through its engine, at its first entry, and belong to its id from
// then on. Keys from the network are never trusted.
package hostkeys

import (
	"log/slog"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/state"
)

// Command prints the host keys of an sshd, in its container.
func Command() []string { return []string{"sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub"} }

// Most is much more than the public host keys of an sshd take, in bytes.
const Most = 64 << 10

// Of returns the keys that are pinned to a host's container with this id. If there
// are none, it pins those that read returns, which must be the output of [Command] in
// that container. Errors are *[hosts.Unreachable].
func Of(st *state.State, host, id string, read func() ([]byte, error), log *slog.Logger) ([]ssh.PublicKey, error) {
	const broken = "cannot be entered: its pinned host keys cannot be read or written on the gateway"
	pinned, err := st.PinnedHostKeys(id)
	if err != nil {
		return nil, hosts.NewUnreachable(host, broken, err)
	}
	if len(pinned) > 0 {
		return pinned, nil
	}
	text, err := read()
	if err != nil {
		return nil, hosts.NewUnreachable(host, "keeps its ssh host keys to itself: /etc/ssh/ssh_host_*_key.pub cannot be read in it", err)
	}
	keys, err := state.ParsePublicKeys(text)
	if err != nil || len(keys) == 0 {
		return nil, hosts.NewUnreachable(host, "has no ssh host keys in /etc/ssh (is its sshd set up?)", err)
	}
	if err := st.PinHostKeys(id, keys); err != nil {
		if pinned, _ := st.PinnedHostKeys(id); len(pinned) > 0 { // another login was first
			return pinned, nil
		}
		return nil, hosts.NewUnreachable(host, broken, err)
	}
	log.Info("host keys pinned", "host", host, "container", id, "keys", len(keys))
	return keys, nil
}
