package compose

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
)

// Wanted is what ought to exist, in the engine's terms. It follows from the compose
// files and the site only, never from what exists already.
type Wanted struct {
	Project  string
	Networks []Network
	Volumes  []Volume
	Services []Service // in the order in which they start
	Disabled []string  // services whose profiles are not active
	Warnings []string

	guard guard
}

// Refuses returns why an existing volume with these options may not be mounted into
// the services that ask for it; "" if it may, or if none asks.
func (w Wanted) Refuses(v Volume) string {
	for _, s := range w.Services {
		mounted := slices.ContainsFunc(s.HostConfig.Mounts, func(m mount.Mount) bool { return m.Type == mount.TypeVolume && m.Source == v.Name })
		for _, path := range devicesOf(v) {
			if why := w.guard.refuses(path, s.Socket); mounted && why != "" {
				return fmt.Sprintf("%s leads to %s: %s", v.Name, path, why)
			}
		}
	}
	return ""
}

// Network is a network that the project uses.
type Network struct {
	Name       string
	External   bool // not created by this project
	Driver     string
	IPv6       *bool // nil: the engine's default
	IPAM       *network.IPAM
	Internal   bool
	Attachable bool
	Options    map[string]string
	Labels     map[string]string
}

// Subnets returns the subnets in the files; none if the engine chooses.
func (n Network) Subnets() []netip.Prefix {
	var all []netip.Prefix
	if n.IPAM == nil {
		return nil
	}
	for _, pool := range n.IPAM.Config {
		if pool.Subnet.IsValid() {
			all = append(all, pool.Subnet.Masked())
		}
	}
	return all
}

// Volume is a named volume that the project uses.
type Volume struct {
	Name     string
	External bool // not created by this project
	Driver   string
	Options  map[string]string
	Labels   map[string]string
	ForHosts bool // created only together with a host that has it; an existing host may be without it
}

// Service is a service. Each has one container and is one host.
type Service struct {
	Name      string
	Host      string
	Container string
	Image     Image

	Config      container.Config
	HostConfig  container.HostConfig
	Networks    []Attachment // joined in this order; the container is created with the first one
	Limits      ledger.Amounts
	Reserved    ledger.Amounts
	GPUs        GPUs
	Pinned      bool         // it has cores of its own
	OwnShm      bool         // the files give the size of /dev/shm; otherwise it follows the memory limit
	DefaultInit bool         // the files do not say whether the container has an init process
	Socket      bool         // the files ask for the Docker socket by name
	After       []Dependency // what it waits for before it starts
	Volumes     []Volume     // its own, which are not in the files
	Keep        bool         // what was written in its container is carried over when it is recreated
	HasPeers    bool         // it and other hosts of the project with this setting can reach each other by ssh
	Said        Said
}

// Said is what the files say about settings for which provision has a default. A new
// default in a later version is no reason to recreate a host; a change of the files
// is.
type Said struct {
	Route string // "": nothing
	Peers *bool  // nil: nothing
}

// Attachment is a service's connection to a network.
type Attachment struct {
	Network  string
	Settings *network.EndpointSettings
}

// ContainerNames returns the names of the services' containers, in the order in which
// they start.
func (w Wanted) ContainerNames() []string {
	var names []string
	for _, s := range w.Services {
		names = append(names, s.Container)
	}
	return names
}

// ImageRefs returns the images of the services, and the bases of host images.
func (w Wanted) ImageRefs() []string {
	var refs []string
	for _, s := range w.Services {
		refs = append(refs, s.Image.Ref)
		if s.Image.IsHost() {
			refs = append(refs, s.Image.Base)
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// Site is what the box adds to the compose files.
type Site struct {
	Base      string    // of host images, for services that name none
	UserCA    string    // the public half of the gateway's CA
	HelperDir string    // mounted into every container; "" where the engine is elsewhere, as the next two
	StateDir  string    // of the gateway; no container gets it
	Socket    string    // of the engine
	Box       string    // that the gateway enters by route exec alone; "": hosts are entered as the files say
	Today     time.Time // decides whether a base is past its support
}

// Want returns what the project needs at a site. Its error names the file and, if
// known, the line.
func (p *Project) Want(at Site) (Wanted, error) {
	if err := p.nothingAsked(); err != nil {
		return Wanted{}, err
	}
	unsupported, err := p.unsupported()
	if err != nil {
		return Wanted{}, err
	}
	d := Wanted{
		guard:    guardAt(at),
		Project:  p.Name,
		Disabled: p.DisabledServiceNames(),
		Warnings: append(p.withoutChoice(p.warnings), unsupported...),
	}
	if d.Networks, err = p.wantNetworks(); err != nil {
		return Wanted{}, err
	}
	d.Volumes = p.wantVolumes()
	serviceOf, madeBy := map[string]string{}, map[string]string{} // keys: host; container
	for _, name := range p.startOrder() {
		service, warnings, err := p.wantService(p.Services[name], at)
		if err != nil {
			return Wanted{}, err
		}
		if other, taken := serviceOf[service.Host]; taken {
			return Wanted{}, fmt.Errorf("%sservices %s and %s are both host %s; a name is one host's",
				p.Sources.Where("services", name), other, name, service.Host)
		}
		if other, taken := madeBy[service.Container]; taken {
			return Wanted{}, fmt.Errorf("%sservices %s and %s are both container %s; give each a container_name of its own, or none",
				p.Sources.Where("services", name, "container_name"), other, name, service.Container)
		}
		serviceOf[service.Host], madeBy[service.Container] = name, name
		d.Services = append(d.Services, service)
		d.Volumes = append(d.Volumes, service.Volumes...)
		d.Warnings = append(d.Warnings, warnings...)
	}
	if slices.ContainsFunc(d.Services, func(s Service) bool { return s.HasPeers }) {
		d.Volumes = append(d.Volumes, p.peersVolume())
	}
	return d, nil
}

// startOrder returns every service after those it depends on. [Load] has made sure
// that there is no cycle.
func (p *Project) startOrder() []string {
	var order []string
	visited := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		service, active := p.Services[name]
		if !active || visited[name] {
			return
		}
		visited[name] = true
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

func (p *Project) wantNetworks() ([]Network, error) {
	var all []Network
	for _, key := range p.NetworkNames() {
		n := p.Networks[key]
		ipam, err := wantIPAM(n.Ipam)
		if err != nil {
			return nil, fmt.Errorf("%snetwork %s: %w", p.Sources.Where("networks", key, "ipam"), key, err)
		}
		all = append(all, Network{
			Name:       n.Name,
			External:   bool(n.External),
			Driver:     cmp.Or(n.Driver, "bridge"),
			IPv6:       n.EnableIPv6,
			IPAM:       ipam,
			Internal:   n.Internal,
			Attachable: n.Attachable,
			Options:    n.DriverOpts,
			Labels:     withLabel(n.Labels, labels.Project, p.Name),
		})
	}
	return all, nil
}

func (p *Project) wantVolumes() []Volume {
	var all []Volume
	for _, key := range p.VolumeNames() {
		v := p.Volumes[key]
		all = append(all, Volume{
			Name:     v.Name,
			External: bool(v.External),
			Driver:   cmp.Or(v.Driver, "local"),
			Options:  v.DriverOpts,
			Labels:   withLabel(v.Labels, labels.Project, p.Name),
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
