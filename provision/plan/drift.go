package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// NetworkState is the present state of a network.
type NetworkState struct {
	ID         string
	Driver     string
	Internal   bool
	Attachable bool
	IPv6       bool
	Subnets    []netip.Prefix
	Options    map[string]string
}

// VolumeState is the present state of a volume.
type VolumeState struct {
	Driver  string
	Options map[string]string
}

// drift returns a line for each network and volume of the project that differs from
// the files. The engine cannot change them, and they may be in use, so provision
// refuses, and says what a person can do. Those that somebody else created are used
// as they are.
func drift(want compose.Wanted, have Observed) []string {
	var lines []string
	for _, n := range want.Networks {
		is, known := have.NetworkStates[n.Name]
		if !known || n.External || have.Networks[n.Name][labels.Project] != want.Project {
			continue
		}
		if changes := is.changes(n); len(changes) > 0 {
			lines = append(lines, fmt.Sprintf("network %s: %s; the engine changes no network: give the new one another name (name: under networks), and its hosts are recreated with what was written in them", n.Name, causeOf(changes)))
		}
	}
	for _, v := range want.Volumes {
		is, known := have.VolumeStates[v.Name]
		if !known || v.External || have.Volumes[v.Name][labels.Project] != want.Project {
			continue
		}
		if changes := is.changes(v); len(changes) > 0 {
			lines = append(lines, fmt.Sprintf("volume %s: %s; the engine changes no volume: give the new one another name (name: under volumes), and copy what is in this one", v.Name, causeOf(changes)))
		}
	}
	return lines
}

// changes returns what the files want differently. What they leave open the engine
// has chosen.
func (is NetworkState) changes(n compose.Network) []string {
	c := differences{}
	c.text("driver", is.Driver, n.Driver)
	c.yes("internal", is.Internal, n.Internal)
	c.yes("attachable", is.Attachable, n.Attachable)
	if n.IPv6 != nil {
		c.yes("enable_ipv6", is.IPv6, *n.IPv6)
	}
	for name, value := range n.Options {
		c.text("driver_opts."+name, is.Options[name], value)
	}
	subnets := n.Subnets()
	missing := slices.ContainsFunc(subnets, func(s netip.Prefix) bool { return !slices.Contains(is.Subnets, s) })
	if missing {
		c.text("subnet", prefixes(is.Subnets), prefixes(subnets))
	}
	return c.lines()
}

// overlaps returns a line for each new network whose subnet overlaps with another
// network's. The engine would refuse it only when others have been created already,
// and would not say which network it is.
func overlaps(want compose.Wanted, have Observed) []string {
	var lines []string
	for _, n := range want.Networks {
		if _, there := have.NetworkStates[n.Name]; there || n.External {
			continue
		}
		for _, subnet := range n.Subnets() {
			for _, name := range slices.Sorted(maps.Keys(have.NetworkStates)) {
				if i := slices.IndexFunc(have.NetworkStates[name].Subnets, subnet.Overlaps); i >= 0 {
					lines = append(lines, fmt.Sprintf("network %s: its subnet %s overlaps %s of network %s; take another one, or remove that network",
						n.Name, subnet, have.NetworkStates[name].Subnets[i], name))
				}
			}
		}
	}
	return lines
}

func (is VolumeState) changes(v compose.Volume) []string {
	c := differences{}
	c.text("driver", is.Driver, v.Driver)
	all := maps.Clone(is.Options)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, v.Options)
	for name := range all {
		c.text("driver_opts."+name, is.Options[name], v.Options[name])
	}
	return c.lines()
}

func prefixes(all []netip.Prefix) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, " ")
}

// differences has a line for each key that differs: what is, and what is wanted.
type differences map[string]string

func (d differences) text(key, is, want string) {
	if is != want {
		d[key] = fmt.Sprintf("%s: %s → %s", key, orNothing(is), orNothing(want))
	}
}

func (d differences) yes(key string, is, want bool) {
	d.text(key, fmt.Sprint(is), fmt.Sprint(want))
}

func (d differences) lines() []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(d)) {
		lines = append(lines, d[key])
	}
	return lines
}

func orNothing(text string) string {
	if text == "" {
		return "none"
	}
	return shortened(text)
}

// unsafe returns a line for each volume that exists already and is a bind of a path
// that no container may have. Its options are not in the files, so the check of the
// files could not find it.
func unsafe(want compose.Wanted, have Observed) []string {
	var lines []string
	for _, v := range want.Volumes {
		is, known := have.VolumeStates[v.Name]
		if !known {
			continue
		}
		if why := want.Refuses(compose.Volume{Name: v.Name, Driver: is.Driver, Options: is.Options}); why != "" {
			lines = append(lines, "volume "+why)
		}
	}
	return lines
}

// lost returns the networks to which a stopped container is attached but which do not
// exist any more, or were created again under the same name. The container could not
// start.
func (o Observed) lost(c Container) []string {
	var names []string
	for name, id := range c.NetworkIDs {
		if is, known := o.NetworkStates[name]; !c.Running && id != "" && (!known && o.Networks[name] == nil || known && is.ID != id) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
