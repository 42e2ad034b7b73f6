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

	// maxCallers is how many connections to the gateway's socket may be open that
	// have not sent a nonce yet: every account of every container can connect to it.
	maxCallers = 64
)

// Meetings is a socket of the gateway in the directory that is mounted into
// containers. A helper that was just started connects to it and proves itself with
// its nonce.
type Meetings struct {
	listener *net.UnixListener
	name     string
	callers  chan struct{}

	mu       sync.Mutex
	expected map[string]chan *descriptors.Socket // by nonce
}

// NewMeetings listens on a new socket in a directory. Close removes the socket.
func NewMeetings(dir string) (*Meetings, error) {
	name := "gateway-" + rand.Text()[:8] + ".sock"
	path := filepath.Join(dir, name)
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: path})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil { // so that accounts of containers can connect
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

// IsDeserted reports whether a socket that NewMeetings made has no listener any more.
func IsDeserted(path string) bool {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: path})
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// Name returns the socket's name in its directory.
func (m *Meetings) Name() string { return m.name }

// Close stops the listening. Helpers that were met live on.
func (m *Meetings) Close() error { return m.listener.Close() }

func (m *Meetings) accept() {
	for {
		conn, err := m.listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no free descriptors; some will be closed
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

// receive reads a caller's nonce, and hands the connection to the call of Meet that
// expects it. It closes the connection if nobody does.
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
	delete(m.expected, hello.Nonce) // a nonce is good for one connection
	if waiting == nil || hello.Version().Check() != nil || control.Send(messages.TypeWelcome, nil) != nil {
		control.Close()
		return
	}
	waiting <- control
}

// expect makes the socket accept one helper with this nonce. The caller must call
// forget afterwards.
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
