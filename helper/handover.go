package helper

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/helper/streams"
	"github.com/berth-ssh/berth/machine"

	"golang.org/x/sys/unix"
)

// Handed is a helper's machine on its way to another process of this box, which uses
// it in the place of this one (see [Taken]). That process needs none of the
// privileges that it took to start the helper.
type Handed struct {
	Version messages.Version

	// File is the machine's socket. Where no descriptor crosses, it is a socket to
	// the helper's standard streams, which all its machines share; it is nil if the
	// other process already has that one.
	File *os.File

	Helper string // then: which one it is; else ""
}

// Opened is a helper's machine for one connection of a person. It can be used here
// like any [machine.Machine], or be handed over before its first use.
type Opened struct {
	client *Client
	socket *descriptors.Socket // nil where no descriptor crosses
	use    func() (machine.Machine, error)
	handed atomic.Bool
}

// Open opens a machine. Closing the machine releases all that the connection held.
func (c *Client) Open() (*Opened, error) {
	if c.shared != nil {
		select {
		case <-c.done:
			return nil, messages.ErrEnded
		default:
		}
		return &Opened{client: c, use: sync.OnceValues(c.shared.machine)}, nil
	}
	ours, theirs, err := descriptors.NewPair(messages.MaxReply)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := c.control.Send(messages.TypeOpen, nil, int(theirs.Fd())); err != nil {
		ours.Close()
		return nil, err
	}
	ours.Peer = c.control.Peer
	return &Opened{client: c, socket: ours, use: sync.OnceValues(func() (machine.Machine, error) { return descriptors.NewMachine(ours), nil })}, nil
}

// HandOver gives the machine to another process. It works once, and only if the
// machine was not used. Close does nothing to the machine after that.
func (o *Opened) HandOver() (Handed, error) {
	if o.handed.Swap(true) {
		return Handed{}, errHanded
	}
	if o.socket == nil {
		file, err := o.client.shared.handOver()
		return Handed{Version: o.client.shared.peer, File: file, Helper: o.client.shared.id}, err
	}
	defer o.socket.LetGo() // so that the other process holds the only copy, and its end is noticed
	file, err := o.socket.File()
	return Handed{Version: o.socket.Peer, File: file}, err
}

// Start starts a command.
func (o *Opened) Start(command machine.Command) (*machine.Process, error) {
	m, err := o.use()
	if err != nil {
		return nil, err
	}
	return m.Start(command)
}

// Dial connects to an address of the machine.
func (o *Opened) Dial(network, address string) (net.Conn, error) {
	m, err := o.use()
	if err != nil {
		return nil, err
	}
	return m.Dial(network, address)
}

// Listen listens on an address of the machine.
func (o *Opened) Listen(network, address string) (net.Listener, error) {
	m, err := o.use()
	if err != nil {
		return nil, err
	}
	return m.Listen(network, address)
}

// Done is closed when the machine is gone.
func (o *Opened) Done() <-chan struct{} {
	m, err := o.use()
	if err != nil {
		return o.client.done
	}
	return m.Done()
}

// Close releases the machine.
func (o *Opened) Close() error {
	if o.handed.Load() {
		return nil
	}
	m, err := o.use()
	if err != nil {
		return err
	}
	return m.Close()
}

// shared is the standard streams of a helper that no descriptor reaches. Its machines
// are either all used in this process, or all in one other process.
type shared struct {
	id       string
	standard streams.Standard
	peer     messages.Version
	ended    func() // to be called when the helper is gone

	mu     sync.Mutex
	client *streams.Client // here; nil before the first machine
	handed *os.File        // our end of the pair whose other end was given away
}

func newShared(standard streams.Standard, peer messages.Version, ended func()) *shared {
	return &shared{id: rand.Text(), standard: standard, peer: peer, ended: ended}
}

var errHanded = errors.New("it was handed over to another process")

func (s *shared) machine() (machine.Machine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handed != nil {
		return nil, errHanded
	}
	if s.client == nil {
		client, err := streams.NewClient(s.standard, s.peer)
		if err != nil {
			return nil, err
		}
		s.client = client
		go func() {
			<-client.Done()
			s.ended()
		}()
	}
	return s.client.Machine()
}

// handOver returns a file for the streams at its first call, and nil later.
func (s *shared) handOver() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.client != nil:
		return nil, errors.New("the helper is used here")
	case s.handed != nil:
		return nil, nil
	}
	ours, theirs, err := StreamPair()
	if err != nil {
		return nil, err
	}
	s.handed = ours
	go func() {
		Join(ours, s.standard)
		s.ended()
	}()
	return theirs, nil
}

func (s *shared) close() error {
	defer s.ended()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client.Close()
	}
	return s.standard.Close() // and with it the pair
}

// StreamPair returns two connected sockets. The first one is non-blocking, in Go's
// poller.
func StreamPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "joined"), os.NewFile(uintptr(fds[1]), "joined"), nil
}

// Join copies bytes in both directions until one side ends, then closes both sides
// and returns.
func Join(a, b io.ReadWriteCloser) {
	var both sync.WaitGroup
	pass := func(to, from io.ReadWriteCloser) {
		io.Copy(to, from)
		a.Close()
		b.Close()
	}
	both.Go(func() { pass(a, b) })
	both.Go(func() { pass(b, a) })
	both.Wait()
}

// Taken holds the helpers that another process has handed over to this one. It is
// safe for concurrent use.
type Taken struct {
	mu      sync.Mutex
	helpers map[string]*takenHelper
}

// takenHelper is a helper that is reached by streams.
type takenHelper struct {
	came   chan struct{} // closed when client is set
	client *streams.Client
}

// Machine returns the machine that was handed over, and owns its file from then on.
// Where several machines share one file, which came with another of them, it waits
// for that file or for the end of ctx.
func (t *Taken) Machine(ctx context.Context, handed Handed) (machine.Machine, error) {
	if handed.Helper == "" {
		if handed.File == nil {
			return nil, errors.New("no socket came")
		}
		socket, err := descriptors.FileSocket(handed.File, messages.MaxReply)
		if err != nil {
			return nil, err
		}
		socket.Peer = handed.Version
		return descriptors.NewMachine(socket), nil
	}
	h := t.helper(handed.Helper)
	if handed.File != nil {
		if err := t.take(handed, h); err != nil {
			return nil, err
		}
	}
	select {
	case <-h.came:
		return h.client.Machine()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *Taken) helper(id string) *takenHelper {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.helpers == nil {
		t.helpers = map[string]*takenHelper{}
	}
	h := t.helpers[id]
	if h == nil {
		h = &takenHelper{came: make(chan struct{})}
		t.helpers[id] = h
	}
	return h
}

func (t *Taken) take(handed Handed, h *takenHelper) error {
	defer handed.File.Close()
	conn, err := net.FileConn(handed.File)
	if err != nil {
		return err
	}
	client, err := streams.NewClient(streams.Standard{Reader: conn, Writer: conn, OnClose: func() { conn.Close() }}, handed.Version)
	if err != nil {
		conn.Close()
		return err
	}
	h.client = client
	close(h.came)
	go func() {
		<-client.Done()
		client.Close()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.helpers, handed.Helper)
	}()
	return nil
}
