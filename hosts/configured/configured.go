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
	addresses  *hosts.Addresses
	local      *local.Source
	containers *docker.Source
}

// Open makes the sources of entries and of the Docker engine at an address. It
// waits for nothing: [hosts.Directory.Run] finds the hosts.
func Open(engine string, st *state.State, entries []hosts.Entry, log *slog.Logger) (*Hosts, error) {
	containers, err := docker.New(engine, st, entries, log)
	if err != nil {
		return nil, err
	}
	h := &Hosts{addresses: hosts.NewAddresses(entries), local: local.New(entries, log), containers: containers}
	h.Directory = hosts.NewDirectory(h.addresses, h.local, h.containers)
	return h, nil
}

// Exchange replaces the hosts that the configuration names. Who entered a former
// one goes on.
func (h *Hosts) Exchange(entries []hosts.Entry) {
	h.addresses.Exchange(entries)
	h.local.Exchange(entries)
	h.containers.Exchange(entries)
}

// RemoveOldHelpers removes from the state directory what earlier versions of the
// gateway put there for containers (see [docker.Source.RemoveOldHelpers]).
func (h *Hosts) RemoveOldHelpers() error { return h.containers.RemoveOldHelpers() }
