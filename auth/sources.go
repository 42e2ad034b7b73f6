package auth

import (
	"errors"
	"net/netip"
	"path"
	"strings"
)

// Sources are the addresses from which somebody may come: the pattern list of sshd's
// from= (sshd(8), ssh_config(5) PATTERNS). Nil Sources are all addresses.
type Sources []source

// source is one item: a network, or a pattern with * and ?.
type source struct {
	not     bool
	network netip.Prefix
	pattern string // "": the network
}

var (
	errSources   = errors.New("not a list of addresses; write such as 192.0.2.0/24,2001:db8::/32,!192.0.2.7")
	errHostNames = errors.New("names of hosts are not looked up; write addresses or networks")
)

// ParseSources parses networks, addresses, and patterns of addresses with * and ?,
// separated by commas. An item after ! is excluded, whatever the other items say.
// Host names are refused.
func ParseSources(list string) (Sources, error) {
	sources := Sources{}
	for item := range strings.SplitSeq(list, ",") {
		parsed, err := parseSource(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		sources = append(sources, parsed)
	}
	return sources, nil
}

func parseSource(item string) (source, error) {
	bare, not := strings.CutPrefix(item, "!")
	if address, err := netip.ParseAddr(bare); err == nil && address.Zone() == "" {
		return source{not: not, network: netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen())}, nil
	}
	if network, err := netip.ParsePrefix(bare); err == nil {
		if network != network.Masked() || network.Addr().Is4In6() {
			return source{}, errSources
		}
		return source{not: not, network: network}, nil
	}
	isPattern := strings.ContainsAny(bare, "*?")
	switch {
	case bare == "" || strings.Contains(bare, "/"):
		return source{}, errSources
	case !isPattern || strings.Trim(bare, "0123456789abcdefABCDEF.:*?") != "":
		return source{}, errHostNames
	}
	return source{not: not, pattern: strings.ToLower(bare)}, nil
}

// Has reports whether somebody may come from an address. An unknown address is only
// in nil Sources.
func (s Sources) Has(address netip.Addr) bool {
	if s == nil {
		return true
	}
	address = address.Unmap().WithZone("")
	has := false
	for _, item := range s {
		if !item.matches(address) {
			continue
		}
		if item.not {
			return false
		}
		has = true
	}
	return has
}

func (s source) matches(address netip.Addr) bool {
	if s.pattern == "" {
		return s.network.Contains(address)
	}
	matches, err := path.Match(s.pattern, address.String())
	return err == nil && matches && address.IsValid()
}
