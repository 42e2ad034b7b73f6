// Package configured creates the sources of hosts that a configuration names. A new
// kind of source is added here.
package configured

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/boxes"
	dockerhosts "github.com/berth-ssh/berth/hosts/docker"
	"github.com/berth-ssh/berth/hosts/kube"
	"github.com/berth-ssh/berth/hosts/local"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"
)

// Hosts are the hosts of a configuration. Its entries take precedence over hosts that
// are found.
type Hosts struct {
	*hosts.Directory
	addresses *hosts.Addresses
	local     *local.Source
	engines   []*dockerhosts.Source
	clusters  []*kube.Source
}

// Open creates the sources of entries, and of the engines of this machine and of all
// boxes. It does not wait: [hosts.Directory.Run] finds the hosts.
func Open(from hosts.Settings, st *state.State, log *slog.Logger) (*Hosts, error) {
	h := &Hosts{addresses: hosts.NewAddresses(from.Entries), local: local.New(from.Entries, log)}
	found, err := h.openEngines(from, st, log)
	if err != nil {
		for _, engine := range h.engines {
			engine.Close()
		}
		return nil, err
	}
	h.Directory = hosts.NewDirectory(append([]hosts.Source{h.addresses, h.local}, found...)...)
	return h, nil
}

// openEngines returns one source of all hosts on engines: the engine of this machine,
// or several boxes. A cluster counts as a box.
func (h *Hosts) openEngines(from hosts.Settings, st *state.State, log *slog.Logger) ([]hosts.Source, error) {
	options := dockerhosts.Options{Engine: docker.Address{URL: from.Docker}, Entries: from.Entries, State: st, Log: log}
	if len(from.Boxes)+len(from.Clusters) == 0 {
		if from.Docker == hosts.NoEngine {
			return nil, nil
		}
		engine, err := h.openEngine(options)
		return []hosts.Source{engine}, err
	}
	all := boxes.New(st, log)
	options.Seen = all.Seen
	own := hosts.Box{Name: hosts.LocalBox, Docker: from.Docker}
	for _, box := range append([]hosts.Box{own}, from.Boxes...) {
		if box.Docker == hosts.NoEngine {
			continue
		}
		options.Box, options.Engine = box.Name, docker.Address{URL: box.Docker, TLS: box.TLS}
		engine, err := h.openEngine(options)
		if err != nil {
			return nil, err
		}
		all.Add(box.Name, engine)
	}
	for _, cluster := range from.Clusters {
		pods, err := kube.New(kube.Options{Cluster: cluster, State: st, Seen: all.Seen, Log: log})
		if err != nil {
			return nil, err
		}
		h.clusters = append(h.clusters, pods)
		all.Add(cluster.Name, pods)
	}
	return []hosts.Source{all}, nil
}

func (h *Hosts) openEngine(options dockerhosts.Options) (*dockerhosts.Source, error) {
	engine, err := dockerhosts.New(options)
	if err == nil {
		h.engines = append(h.engines, engine)
	}
	return engine, err
}

// Silent returns the engines and clusters that do not answer, and why. It leaves out
// an only engine that does not answer, since there may be none.
func (h *Hosts) Silent() []hosts.Silence {
	var all []hosts.Silence
	for _, engine := range h.engines {
		if now := engine.Silence(); engine.Box() != "" || now.IsRefusal() {
			all = append(all, now)
		}
	}
	for _, cluster := range h.clusters {
		all = append(all, cluster.Silence())
	}
	return slices.DeleteFunc(all, func(s hosts.Silence) bool { return s.Cause == nil })
}

// Replace replaces the hosts in the configuration. Connections to former ones go on.
func (h *Hosts) Replace(entries []hosts.Entry) {
	h.addresses.Replace(entries)
	h.local.Replace(entries)
	for _, engine := range h.engines {
		engine.Replace(entries)
	}
}

// RemoveOldHelpers removes from the state directory what earlier versions of the
// gateway put there for containers (see [dockerhosts.Source.RemoveOldHelpers]).
func (h *Hosts) RemoveOldHelpers() error {
	for _, engine := range h.engines {
		if err := engine.RemoveOldHelpers(); err != nil {
			return err
		}
	}
	return nil
}

// TellUserCAs makes the hosts with an sshd trust the present user CAs, and returns
// the results by host name. It waits until all have been told.
func (h *Hosts) TellUserCAs(ctx context.Context) map[string]hosts.Trust {
	all := map[string]hosts.Trust{}
	for _, engine := range h.engines {
		for name, told := range engine.TellUserCAs(ctx) {
			if box := engine.Box(); box != "" {
				name += "." + box
			}
			all[name] = told
		}
	}
	for _, host := range h.List(ctx) {
		_, isTold := all[host.Name]
		_, isToldExactly := all[host.Exact]
		if host.Route == labels.RouteSshd && !isTold && !isToldExactly && !h.addresses.KeepsKey(host.Name) {
			all[host.Name] = hosts.Trust{IsForeign: true}
		}
	}
	return all
}

// Engines returns whether each engine answers, by the name of its box; this machine
// is "local".
func (h *Hosts) Engines() map[string]bool {
	answers := map[string]bool{}
	for _, engine := range h.engines {
		answers[cmp.Or(engine.Box(), hosts.LocalBox)] = engine.Silence().Cause == nil
	}
	return answers
}
