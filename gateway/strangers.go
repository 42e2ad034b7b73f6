package gateway

import (
	"net"
	"net/netip"
	"sync"
)

// Limits on connections that have not logged in yet, as sshd's MaxStartups
// and PerSourceMaxStartups are.
const (
	maxStrangers          = 200
	maxStrangersPerSource = 50
)

// strangers counts the connections that have not logged in yet.
type strangers struct {
	mu      sync.Mutex
	total   int
	sources map[netip.Prefix]int
}

// admit counts a new connection, unless there are too many.
func (s *strangers) admit(address net.Addr) bool {
	source := sourceOf(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxStrangers || s.sources[source] >= maxStrangersPerSource {
		return false
	}
	if s.sources == nil {
		s.sources = map[netip.Prefix]int{}
	}
	s.total++
	s.sources[source]++
	return true
}

// release forgets a connection that has logged in or ended.
func (s *strangers) release(address net.Addr) {
	source := sourceOf(address)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.sources[source]--; s.sources[source] <= 0 {
		delete(s.sources, source)
	}
}

// sourceOf is an IPv4 address, or the IPv6 network that one subscriber has.
func sourceOf(address net.Addr) netip.Prefix {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.WithZone("").Prefix(bits)
	return prefix
}
