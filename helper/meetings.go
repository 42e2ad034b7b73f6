package helper

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/helper/messages"

	"golang.org/x/sys/unix"
)

const (
	// meetTimeout bounds each step of a meeting: the helper is running by then.
	meetTimeout = 5 * time.Second

	// maxCallers is how many may be at the gateway's socket at a time without
	// having said who they are: every account of every container can go there.
	maxCallers = 64
)

// Meetings is a socket of the gateway's in the directory that is mounted into
// containers. Whoever comes there must say the nonce of a helper that was just
// started.
type Meetings struct {
	listener *net.UnixListener
	name     string
	callers  chan struct{}

	mu       sync.Mutex
	expected map[string]chan *descriptors.Socket // by nonce
}

// NewMeetings listens on a new socket in a directory, which it removes again
// when it is closed.
func NewMeetings(dir string) (*Meetings, error) {
	name := "gateway-" + rand.Text()[:8] + ".sock"
	path := filepath.Join(dir, name)
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: path})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil { // accounts of containers come from outside
		listener.Close()
		return nil, err
	}
	m := &Meetings{
		listener: listener,
		name:     name,
		callers:  make(chan struct{}, maxCallers),
		expected: map[string]chan *descriptors.Socket{},
	}
	go m.accept()
	return m, nil
}

// IsDeserted says whether nobody listens any more on a socket that NewMeetings
// made.
func IsDeserted(path string) bool {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: path})
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// Name is the socket's, in its directory.
func (m *Meetings) Name() string { return m.name }

// Close ends the meetings; helpers that were met live on.
func (m *Meetings) Close() error { return m.listener.Close() }

func (m *Meetings) accept() {
	for {
		conn, err := m.listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors: some will come back
			time.Sleep(time.Second / 10)
			continue
		}
		select {
		case m.callers <- struct{}{}:
			go m.receive(conn)
		default:
			descriptors.NewSocket(conn, 0).Close()
		}
	}
}

// receive hands a caller to whoever expects it.
func (m *Meetings) receive(conn *net.UnixConn) {
	control := descriptors.NewSocket(conn, messages.MaxReply)
	hello, err := receiveHello(control)
	<-m.callers
	if err != nil {
		control.Close()
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := m.expected[hello.Nonce]
	delete(m.expected, hello.Nonce) // it is good for one
	if waiting == nil || hello.Version().Check() != nil || control.Send(messages.TypeWelcome, nil) != nil {
		control.Close()
		return
	}
	waiting <- control
}

// expect makes the socket take one helper that says the nonce; forget must be
// called after it.
func (m *Meetings) expect(nonce string) (arrived <-chan *descriptors.Socket, forget func()) {
	waiting := make(chan *descriptors.Socket, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expected[nonce] = waiting
	return waiting, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.expected, nonce)
		select {
		case late := <-waiting:
			late.Close()
		default:
		}
	}
}
