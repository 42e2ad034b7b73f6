package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"berth/labels"
	"berth/ledger"
)

// desired is what ought to be, in the engine's terms. It follows from the
// compose files and the box, never from what is there already.
type desired struct {
	project  string
	networks []wantedNetwork
	volumes  []wantedVolume
	services []wantedService // in the order they start
	disabled []string        // services that no active profile asks for
	warnings []string
}

type wantedNetwork struct {
	name       string
	external   bool // somebody else makes it
	driver     string
	ipv6       *bool // nil: as the engine has it
	ipam       *network.IPAM
	internal   bool
	attachable bool
	options    map[string]string
	labels     map[string]string
}

type wantedVolume struct {
	name     string
	external bool // somebody else makes it
	driver   string
	options  map[string]string
	labels   map[string]string
}

// wantedService is a service, and so one container, and so one host.
type wantedService struct {
	name      string
	host      string
	container string
	image     wantedImage

	config     container.Config
	hostConfig container.HostConfig
	networks   []attachment // joined in this order, the first one when the container is created
	limits     ledger.Amounts
	reserved   ledger.Amounts
	gpus       wantedGPUs
	pinned     bool           // its cpus are pinned to it
	ownShm     bool           // the files say how large /dev/shm is; else it follows the memory limit
	volumes    []wantedVolume // of its own, which the files do not know
}

type attachment struct {
	Network  string
	Settings *network.EndpointSettings
}

func (d desired) containerNames() []string {
	var names []string
	for _, s := range d.services {
		names = append(names, s.container)
	}
	return names
}

// imageRefs are the images that the services run, and the bases of host images.
func (d desired) imageRefs() []string {
	var refs []string
	for _, s := range d.services {
		refs = append(refs, s.image.ref)
		if s.image.isHost() {
			refs = append(refs, s.image.base)
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// site is what the machine adds to the compose files.
type site struct {
	base      string // of host images, where a service names none
	userCA    string // public half of the gateway's
	helperDir string // mounted into every container; "" where the engine is elsewhere
}

// want says what the project needs.
func (p *project) want(b site) (desired, error) {
	unsupported, err := p.unsupported()
	if err != nil {
		return desired{}, err
	}
	d := desired{
		project:  p.Name,
		disabled: p.DisabledServiceNames(),
		warnings: append(p.warnings, unsupported...),
	}
	if d.networks, err = p.wantNetworks(); err != nil {
		return desired{}, err
	}
	d.volumes = p.wantVolumes()
	serviceOf := map[string]string{} // by host
	for _, name := range p.startOrder() {
		service, warnings, err := p.wantService(p.Services[name], b)
		if err != nil {
			return desired{}, err
		}
		if other, taken := serviceOf[service.host]; taken {
			return desired{}, fmt.Errorf("%sservices %s and %s are both host %s; a name is one host's",
				p.sources.where("services", name), other, name, service.host)
		}
		serviceOf[service.host] = name
		d.services = append(d.services, service)
		d.volumes = append(d.volumes, service.volumes...)
		for _, warning := range warnings {
			d.warnings = append(d.warnings, name+": "+warning)
		}
	}
	return d, nil
}

// startOrder is every service after those it depends on; compose-go has made
// sure that there is no cycle.
func (p *project) startOrder() []string {
	var order []string
	var visit func(name string)
	visit = func(name string) {
		service, active := p.Services[name]
		if !active || slices.Contains(order, name) {
			return
		}
		for _, dependency := range slices.Sorted(maps.Keys(service.DependsOn)) {
			visit(dependency)
		}
		order = append(order, name)
	}
	for _, name := range p.ServiceNames() {
		visit(name)
	}
	return order
}

func (p *project) wantNetworks() ([]wantedNetwork, error) {
	var all []wantedNetwork
	for _, key := range p.NetworkNames() {
		n := p.Networks[key]
		ipam, err := wantIPAM(n.Ipam)
		if err != nil {
			return nil, fmt.Errorf("%snetwork %s: %w", p.sources.where("networks", key, "ipam"), key, err)
		}
		all = append(all, wantedNetwork{
			name:       n.Name,
			external:   bool(n.External),
			driver:     cmp.Or(n.Driver, "bridge"),
			ipv6:       n.EnableIPv6,
			ipam:       ipam,
			internal:   n.Internal,
			attachable: n.Attachable,
			options:    n.DriverOpts,
			labels:     withLabel(n.Labels, labels.Project, p.Name),
		})
	}
	return all, nil
}

func (p *project) wantVolumes() []wantedVolume {
	var all []wantedVolume
	for _, key := range p.VolumeNames() {
		v := p.Volumes[key]
		all = append(all, wantedVolume{
			name:     v.Name,
			external: bool(v.External),
			driver:   cmp.Or(v.Driver, "local"),
			options:  v.DriverOpts,
			labels:   withLabel(v.Labels, labels.Project, p.Name),
		})
	}
	return all
}

func withLabel(labels types.Labels, key, value string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, labels)
	all[key] = value
	return all
}
