package messages

import (
	"errors"
	"net"
	"net/netip"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/printable"
)

// Printable returns a text from inside a container as one line that may be
// shown and logged, of at most MaxText runes.
func Printable(text string) string { return printable.Line(text, MaxText) }

// ListenAddr makes an address of what the container says of a listener's.
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

// CallerAddr makes an address of what the container says of who arrived.
func CallerAddr(address string) net.Addr {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(parsed)
}
