package strangers

import (
	"net"
	"net/netip"
)

// Source is who strangers are counted by: an IPv4 address, or the IPv6 network of
// 64 bits that one subscriber has.
type Source = netip.Prefix

// sourceOf is the source of a client's address.
func sourceOf(address net.Addr) Source {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return Source{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	source, _ := ip.WithZone("").Prefix(bits)
	return source
}
