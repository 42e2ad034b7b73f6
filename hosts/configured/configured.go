// Package configured puts together the sources of hosts that a configuration
// asks for. A new kind of source is added here.
package configured

import (
	"log/slog"

	"berth/hosts"
	"berth/hosts/docker"
	"berth/hosts/local"
	"berth/state"
)

// Hosts are the hosts of a configuration: its entries go before what the engine
// is found to have.
type Hosts struct {
	*hosts.Directory
	containers *docker.Source
}

// Open makes the sources of entries and of the Docker engine at an address. It
// waits for nothing: [hosts.Directory.Run] finds the hosts.
func Open(engine string, st *state.State, entries []hosts.Entry, log *slog.Logger) (*Hosts, error) {
	containers, err := docker.New(engine, st, entries, log)
	if err != nil {
		return nil, err
	}
	directory := hosts.NewDirectory(hosts.NewAddresses(entries), local.New(entries, log), containers)
	return &Hosts{directory, containers}, nil
}

// RemoveOldHelpers removes from the state directory what earlier versions of the
// gateway put there for containers (see [docker.Source.RemoveOldHelpers]).
func (h *Hosts) RemoveOldHelpers() error { return h.containers.RemoveOldHelpers() }
