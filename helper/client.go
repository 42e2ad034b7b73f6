package helper

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"berth/session"

	"golang.org/x/sys/unix"
)

// Client is the gateway's end of a running helper.
type Client struct {
	control *socket
	done    chan struct{}
}

// meetTimeout bounds each step of a meeting: the helper is running by then.
const meetTimeout = 5 * time.Second

// Attach ends the meeting on the gateway's side (see the package comment):
// far is the descriptor taken out of the process that announced it, and is
// Attach's to close; nonce is what was given to the process.
func Attach(far *os.File, nonce string) (*Client, error) {
	defer far.Close()
	if err := checkSocket(far, farEnd()); err != nil {
		return nil, fmt.Errorf("the helper announced something else than its socket: %w", err)
	}
	control, theirs, err := newPair(maxReply)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := sendOnce(far, theirs); err != nil {
		control.Close()
		return nil, err
	}
	theirs.Close() // so that the helper's end is known to be the only one
	if err := control.expectHello(nonce); err != nil {
		control.Close()
		return nil, err
	}
	return newClient(control), nil
}

// NewPair makes a client and the file that a helper is given as its control
// socket, where it is this process's own child (see [RunChild]).
func NewPair() (*Client, *os.File, error) {
	control, theirs, err := newPair(maxReply)
	if err != nil {
		return nil, nil, err
	}
	return newClient(control), theirs, nil
}

func newClient(control *socket) *Client {
	c := &Client{control: control, done: make(chan struct{})}
	go c.watch()
	return c
}

// sendOnce sends the attach message without waiting: the other side shares
// the flags of this descriptor.
func sendOnce(far, file *os.File) error {
	body, rights := marshal(typeAttach, nil), unix.UnixRights(int(file.Fd()))
	return withFD(far, func(fd int) error {
		return unix.Sendmsg(fd, body, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
}

func (s *socket) expectHello(nonce string) error {
	s.conn.SetReadDeadline(time.Now().Add(meetTimeout))
	defer s.conn.SetReadDeadline(time.Time{})
	packet, err := s.receive()
	if err != nil {
		return fmt.Errorf("the helper does not answer: %w", err)
	}
	defer packet.close()
	var hello helloMessage
	if err := unmarshal(packet, typeHello, &hello); err != nil {
		return fmt.Errorf("the helper answers with something else: %w", err)
	}
	if hello.Version != Version || hello.Nonce != nonce {
		return errors.New("the helper is not the one that was started")
	}
	return nil
}

// watch waits for the helper's end; it has nothing else to say.
func (c *Client) watch() {
	defer close(c.done)
	io.Copy(io.Discard, c.control.conn)
}

// Done is closed when the helper has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close lets go of the helper, which then ends.
func (c *Client) Close() error {
	err := c.control.Close()
	<-c.done
	return err
}

// Machine opens a machine for one connection of a person.
func (c *Client) Machine() (session.Machine, error) {
	ours, theirs, err := newPair(maxReply)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := c.control.send(typeOpen, nil, int(theirs.Fd())); err != nil {
		ours.Close()
		return nil, fmt.Errorf("the helper has ended: %w", err)
	}
	return newMachine(ours), nil
}

// How long a request to the helper may take. A helper connects within 30 s
// or gives up.
const (
	startTimeout = 15 * time.Second
	dialTimeout  = 40 * time.Second
	maxText      = 1 << 10 // of a reason that a helper gives
)

// machine is a session.Machine behind a helper's socket.
type machine struct {
	socket *socket
	ended  chan struct{}

	mu    sync.Mutex
	last  uint32
	calls map[uint32]chan answer
	exits map[uint32]chan session.Exit
}

// answer is what a request led to.
type answer struct {
	file    *os.File
	address string
	err     error
}

func newMachine(socket *socket) *machine {
	m := &machine{
		socket: socket,
		ended:  make(chan struct{}),
		calls:  map[uint32]chan answer{},
		exits:  map[uint32]chan session.Exit{},
	}
	go m.receive()
	return m
}

func (m *machine) Done() <-chan struct{} { return m.ended }

func (m *machine) Close() error {
	err := m.socket.Close()
	<-m.ended
	return err
}

func (m *machine) Start(command session.Command, stdio session.Stdio) (*session.Process, error) {
	var fds []int
	if command.Pty == nil { // Fd makes them blocking, as a process expects
		fds = []int{int(stdio.In.Fd()), int(stdio.Out.Fd()), int(stdio.Err.Fd())}
	}
	exit := make(chan session.Exit, 1)
	id := m.newID()
	m.mu.Lock()
	m.exits[id] = exit
	m.mu.Unlock()
	process := &session.Process{Exit: exit, Signal: func(name string) error {
		return m.socket.send(typeSignal, signalMessage{id, name})
	}}
	answer, err := m.call(id, typeStart, newStart(id, command), startTimeout, fds...)
	if err == nil && command.Pty != nil {
		process.Pty, err = ptyMaster(answer.file)
		answer.file = nil
	}
	answer.close()
	if err != nil {
		m.mu.Lock()
		delete(m.exits, id)
		m.mu.Unlock()
		return nil, err
	}
	return process, nil
}

func (m *machine) Dial(network, address string) (net.Conn, error) {
	id := m.newID()
	answer, err := m.call(id, typeDial, addressMessage{id, network, address}, dialTimeout)
	if err != nil {
		return nil, err
	}
	defer answer.close()
	if err := checkSocket(answer.file, connected(network)); err != nil {
		return nil, err
	}
	return net.FileConn(answer.file)
}

func (m *machine) Listen(network, address string) (net.Listener, error) {
	id := m.newID()
	answer, err := m.call(id, typeListen, addressMessage{id, network, address}, startTimeout)
	if err != nil {
		return nil, err
	}
	defer answer.close()
	release := func() { m.socket.send(typeRelease, releaseMessage{id}) }
	if err := checkSocket(answer.file, listening(network)); err != nil {
		release()
		return nil, err
	}
	l, err := net.FileListener(answer.file)
	if err != nil {
		release()
		return nil, err
	}
	if network == "unix" {
		return &unixListener{Listener: l, path: answer.address, release: release}, nil
	}
	return &listener{Listener: l, release: release}, nil
}

// listener is a listener in the machine: closing it takes a word to the other
// side, which holds it, too.
type listener struct {
	net.Listener
	release func()
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	l.release()
	return err
}

type unixListener struct {
	net.Listener
	path    string
	release func()
}

func (l *unixListener) Close() error {
	err := l.Listener.Close()
	l.release()
	return err
}

// Addr is the socket's path as the machine knows it.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: l.path} }

func (m *machine) newID() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	return m.last
}

// call sends a request and waits for its answer.
func (m *machine) call(id uint32, kind byte, message any, timeout time.Duration, fds ...int) (answer, error) {
	reply := make(chan answer, 1)
	m.mu.Lock()
	m.calls[id] = reply
	m.mu.Unlock()
	if err := m.socket.send(kind, message, fds...); err != nil {
		m.forget(id)
		return answer{}, err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case got := <-reply:
		return got, got.err
	case <-m.ended:
		return answer{}, errors.New("the helper in the container has ended")
	case <-timer.C:
		m.forget(id)
		return answer{}, fmt.Errorf("no answer within %v", timeout)
	}
}

func (m *machine) forget(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.calls, id)
}

// receive hands answers and exits to those who wait for them.
func (m *machine) receive() {
	for {
		packet, err := m.socket.receive()
		if err != nil || !m.deliver(packet) {
			packet.close()
			break
		}
	}
	m.socket.Close()
	close(m.ended)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, exit := range m.exits {
		close(exit)
	}
}

// deliver returns false for what no helper says.
func (m *machine) deliver(packet packet) bool {
	var (
		done   doneMessage
		failed failedMessage
		exited exitedMessage
	)
	switch {
	case unmarshal(packet, typeDone, &done) == nil && len(packet.files) <= 1 && len(done.Address) <= maxText:
		return m.reply(done.ID, answer{file: first(packet.files), address: done.Address})
	case len(packet.files) > 0:
		return false
	case unmarshal(packet, typeFailed, &failed) == nil:
		return m.reply(failed.ID, answer{err: errors.New(printable(failed.Text))})
	case unmarshal(packet, typeExited, &exited) == nil:
		m.exited(exited)
		return true
	default:
		return false
	}
}

// reply returns true even where nobody waits any more: the call timed out.
func (m *machine) reply(id uint32, a answer) bool {
	m.mu.Lock()
	waiting := m.calls[id]
	delete(m.calls, id)
	m.mu.Unlock()
	if waiting == nil {
		a.close()
		return true
	}
	waiting <- a
	return true
}

func (m *machine) exited(message exitedMessage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	exit := m.exits[message.ID]
	if exit == nil {
		return
	}
	delete(m.exits, message.ID)
	if known, err := session.ParseExit(message.Request, message.Payload); err == nil {
		exit <- known
	}
	close(exit)
}

func (a answer) close() {
	if a.file != nil {
		a.file.Close()
	}
}

func first(files []*os.File) *os.File {
	if len(files) == 0 {
		return nil
	}
	return files[0]
}

// printable is a text from inside a container as it may be shown and logged.
func printable(text string) string {
	text = text[:min(len(text), maxText)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, text)
}
