package compose

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/network"
)

// addresses parses addresses in a compose file, and collects the errors. An empty
// text is no address.
type addresses struct{ errs []error }

func (a *addresses) err() error { return errors.Join(a.errs...) }

func (a *addresses) ip(text string) netip.Addr {
	return parse(a, text, "IP address", netip.ParseAddr)
}

func (a *addresses) subnet(text string) netip.Prefix {
	return parse(a, text, "subnet, such as 10.1.0.0/16", netip.ParsePrefix)
}

func (a *addresses) mac(text string) network.HardwareAddr {
	return network.HardwareAddr(parse(a, text, "MAC address", net.ParseMAC))
}

func (a *addresses) ips(texts []string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, a.ip(text))
	}
	return all
}

func parse[T any](a *addresses, text, kind string, read func(string) (T, error)) T {
	var none T
	if text == "" {
		return none
	}
	value, err := read(text)
	if err != nil {
		a.errs = append(a.errs, fmt.Errorf("%q is no %s", text, kind))
		return none
	}
	return value
}

func wantIPAM(config types.IPAMConfig) (*network.IPAM, error) {
	if config.Driver == "" && len(config.Config) == 0 && len(config.Options) == 0 {
		return nil, nil
	}
	var a addresses
	ipam := &network.IPAM{Driver: config.Driver, Options: config.Options}
	for _, pool := range config.Config {
		reserved := map[string]netip.Addr{}
		for name, address := range pool.AuxiliaryAddresses {
			reserved[name] = a.ip(address)
		}
		ipam.Config = append(ipam.Config, network.IPAMConfig{
			Subnet:     a.subnet(pool.Subnet),
			IPRange:    a.subnet(pool.IPRange),
			Gateway:    a.ip(pool.Gateway),
			AuxAddress: reserved,
		})
	}
	return ipam, a.err()
}
