package compose

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// SSHPort is where sshd listens in a container; the gateway is the way to it.
const SSHPort = 22

// networks sets the networks that the service joins, ordered by compose's priority
// and then by name.
func (b *builder) networks() {
	joined := b.compose.Networks
	names := slices.SortedFunc(maps.Keys(joined), func(one, two string) int {
		return cmp.Or(cmp.Compare(priority(joined[two]), priority(joined[one])), cmp.Compare(one, two))
	})
	for _, name := range names {
		b.service.Networks = append(b.service.Networks, Attachment{b.Networks[name].Name, b.endpoint(joined[name])})
	}
}

func priority(n *types.ServiceNetworkConfig) int {
	if n == nil {
		return 0
	}
	return n.Priority
}

func (b *builder) endpoint(n *types.ServiceNetworkConfig) *network.EndpointSettings {
	if n == nil {
		n = &types.ServiceNetworkConfig{}
	}
	endpoint := &network.EndpointSettings{
		Aliases:    append([]string{b.service.Name}, n.Aliases...),
		DriverOpts: n.DriverOpts,
		MacAddress: b.mac(cmp.Or(n.MacAddress, b.compose.MacAddress)),
	}
	if n.Ipv4Address != "" || n.Ipv6Address != "" || len(n.LinkLocalIPs) > 0 {
		endpoint.IPAMConfig = &network.EndpointIPAMConfig{
			IPv4Address:  b.ip(n.Ipv4Address),
			IPv6Address:  b.ip(n.Ipv6Address),
			LinkLocalIPs: b.ips(n.LinkLocalIPs),
		}
	}
	return endpoint
}

func (b *builder) networkMode() container.NetworkMode {
	if len(b.service.Networks) > 0 {
		return container.NetworkMode(b.service.Networks[0].Network)
	}
	return container.NetworkMode(b.ofService(b.compose.NetworkMode))
}

func (b *builder) publishedPorts() network.PortMap {
	published := network.PortMap{}
	for _, p := range b.compose.Ports {
		port, ok := network.PortFrom(uint16(p.Target), network.IPProtocol(p.Protocol))
		switch {
		case !ok:
			b.warn("port %d/%s left out: no such protocol", p.Target, p.Protocol)
		case p.Target == SSHPort && port.Proto() == network.TCP:
			b.warn("port %s left out: the gateway is the way in", written(p))
		default:
			published[port] = append(published[port], network.PortBinding{HostIP: b.ip(p.HostIP), HostPort: p.Published})
		}
	}
	return published
}

func written(p types.ServicePortConfig) string {
	target := strconv.Itoa(int(p.Target))
	if p.Published == "" {
		return target
	}
	return p.Published + ":" + target
}

func (b *builder) exposedPorts() network.PortSet {
	exposed := network.PortSet{}
	for _, text := range b.compose.Expose {
		ports, err := network.ParsePortRange(text)
		if err != nil {
			b.warn("expose %s left out: %s", text, err)
			continue
		}
		for port := range ports.All() {
			exposed[port] = struct{}{}
		}
	}
	for _, p := range b.compose.Ports {
		if port, ok := network.PortFrom(uint16(p.Target), network.IPProtocol(p.Protocol)); ok && p.Target != SSHPort {
			exposed[port] = struct{}{}
		}
	}
	return exposed
}
