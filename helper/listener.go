package helper

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"

	"berth/machine"
)

// maxArrived is how many connections of one listener may wait for their
// channel.
const maxArrived = 128

// listener is a listener of the machine, which stays there: the connections
// that arrive at it cross.
type listener struct {
	network string
	address net.Addr // as the machine knows it
	arrived chan *os.File
	release func()

	mu     sync.Mutex
	closed bool
}

func newListener(network string, release func()) *listener {
	return &listener{network: network, arrived: make(chan *os.File, maxArrived), release: release}
}

// listened makes an address of what the container says of it.
func listened(network, address string) (net.Addr, error) {
	if network == "unix" || network == machine.X11 {
		return &net.UnixAddr{Net: network, Name: address}, nil
	}
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, errors.New("the helper listens at an address that is none")
	}
	return net.TCPAddrFromAddrPort(parsed), nil
}

// callerAddr makes an address of what the container says of who arrived.
func callerAddr(address string) net.Addr {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(parsed)
}

// deliver takes the file over.
func (l *listener) deliver(file *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		discardFile(file)
		return
	}
	select {
	case l.arrived <- file:
	default: // more than anybody takes
		discardFile(file)
	}
}

func (l *listener) Accept() (net.Conn, error) {
	network := l.network
	if network == machine.X11 {
		network = "tcp"
	}
	for file := range l.arrived {
		if conn, err := newConn(file, network); err == nil {
			return conn, nil
		}
	}
	return nil, net.ErrClosed
}

func (l *listener) Addr() net.Addr { return l.address }

func (l *listener) Close() error {
	if l.end() {
		l.release()
	}
	return nil
}

// end is what is left to do when the helper is gone.
func (l *listener) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed = true
	close(l.arrived)
	for file := range l.arrived {
		discardFile(file)
	}
	return true
}
