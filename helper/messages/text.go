package messages

import (
	"errors"
	"net"
	"net/netip"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/printable"
)

// Printable returns text from inside a container as one line that is safe to show and
// to log, cut to at most MaxText runes.
func Printable(text string) string { return printable.Line(text, MaxText) }

// ListenAddr parses the address of a listener as the container gives it.
func ListenAddr(network, address string) (net.Addr, error) {
	if network == "unix" || network == machine.X11 {
		return &net.UnixAddr{Net: network, Name: address}, nil
	}
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, errors.New("the helper listens at an address that is none")
	}
	return net.TCPAddrFromAddrPort(parsed), nil
}

// CallerAddr parses the address of a connection's other end as the container gives
// it.
func CallerAddr(address string) net.Addr {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(parsed)
}
