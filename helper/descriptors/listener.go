package descriptors

import (
	"net"
	"os"
	"sync"

	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/machine"
)

// listener is a listener that stays in the machine. The connections that arrive at it
// cross as descriptors.
type listener struct {
	network string
	address net.Addr // as the machine knows it
	arrived chan *os.File
	release func()

	mu     sync.Mutex
	closed bool
	once   sync.Once
}

func newListener(network string, release func()) *listener {
	return &listener{network: network, arrived: make(chan *os.File, messages.MaxArrived), release: release}
}

// deliver hands a connection that has arrived to Accept. It takes the file over.
func (l *listener) deliver(file *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		Discard(file)
		return
	}
	select {
	case l.arrived <- file:
	default: // too many wait
		Discard(file)
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

// Close returns when the machine has stopped listening. It closes connections that
// arrived and were not accepted, as a kernel does.
func (l *listener) Close() error {
	l.once.Do(l.release)
	l.end()
	return nil
}

// end cleans up when the helper is gone.
func (l *listener) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.arrived)
	for file := range l.arrived {
		Discard(file)
	}
}
