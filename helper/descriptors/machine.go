package descriptors

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"
)

// remote is a machine.Machine behind a helper's socket.
type remote struct {
	socket *Socket
	ended  chan struct{}

	mu        sync.Mutex
	last      uint32
	calls     map[uint32]chan answer
	exits     map[uint32]*machine.Ending
	listeners map[uint32]*listener
}

// answer is the result of a request.
type answer struct {
	file    *os.File
	address string
	err     error
}

// NewMachine returns the machine behind a socket, which it takes over.
func NewMachine(socket *Socket) machine.Machine { return newRemote(socket) }

func newRemote(socket *Socket) *remote {
	m := &remote{
		socket: socket,
		ended:  make(chan struct{}),
		calls:  map[uint32]chan answer{},
		exits:  map[uint32]*machine.Ending{},

		listeners: map[uint32]*listener{},
	}
	go m.receive()
	return m
}

func (m *remote) Done() <-chan struct{} { return m.ended }

func (m *remote) Close() error {
	err := m.socket.Close()
	<-m.ended
	return err
}

func (m *remote) Start(command machine.Command) (*machine.Process, error) {
	command.UserRC = command.UserRC && m.socket.Peer.Has(3)
	if command.Pty != nil {
		child, err := m.start(command)
		if err != nil {
			return nil, err
		}
		return machine.OnPty(child), nil
	}
	ours, theirs, err := machine.NewPipes()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	theirs.OpenToOthers()
	// Fd makes them blocking, as a process expects.
	child, err := m.start(command, int(theirs.In.Fd()), int(theirs.Out.Fd()), int(theirs.Err.Fd()))
	if err != nil {
		ours.Close()
		return nil, err
	}
	return machine.OnPipes(child, ours), nil
}

func (m *remote) start(command machine.Command, stdio ...int) (*machine.Child, error) {
	ending := machine.NewEnding()
	id := m.newID()
	m.mu.Lock()
	m.exits[id] = ending
	m.mu.Unlock()
	child := &machine.Child{Ending: ending, Signal: func(name string) error {
		return m.socket.Send(messages.TypeSignal, messages.Signal{ID: id, Name: name})
	}}
	answer, err := m.call(id, messages.TypeStart, messages.NewStart(id, command), messages.StartTimeout, stdio...)
	if err == nil && command.Pty != nil {
		child.Pty, err = ptyMaster(answer.file)
		answer.file = nil
	}
	answer.close()
	if err != nil {
		m.mu.Lock()
		delete(m.exits, id)
		m.mu.Unlock()
		return nil, err
	}
	return child, nil
}

func (m *remote) Dial(network, address string) (net.Conn, error) {
	id := m.newID()
	answer, err := m.call(id, messages.TypeDial, messages.Address{ID: id, Network: network, Address: address}, messages.DialTimeout)
	if err != nil {
		return nil, err
	}
	return newConn(answer.file, network)
}

func (m *remote) Listen(network, address string) (net.Listener, error) {
	id := m.newID()
	l := newListener(network, func() {
		m.release(id)
		m.dropListener(id)
	})
	m.mu.Lock()
	m.listeners[id] = l
	m.mu.Unlock()
	answer, err := m.call(id, messages.TypeListen, messages.Address{ID: id, Network: network, Address: address}, messages.StartTimeout)
	answer.close()
	if err == nil {
		l.address, err = messages.ListenAddr(network, answer.address)
	}
	if err != nil {
		m.dropListener(id)
		m.socket.Send(messages.TypeRelease, messages.Release{ID: id}) // the answer may still come
		return nil, err
	}
	return l, nil
}

// release ends a listener, and returns when no more connections can arrive from it.
func (m *remote) release(id uint32) {
	release := messages.Release{ID: id}
	if !m.socket.Peer.Has(2) {
		m.socket.Send(messages.TypeRelease, release)
		return
	}
	m.call(id, messages.TypeRelease, release, messages.StartTimeout)
}

func (m *remote) dropListener(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.listeners, id)
}

func (m *remote) newID() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	return m.last
}

// call sends a request and waits for its answer.
func (m *remote) call(id uint32, kind byte, message any, timeout time.Duration, fds ...int) (answer, error) {
	reply := make(chan answer, 1)
	m.mu.Lock()
	m.calls[id] = reply
	m.mu.Unlock()
	if err := m.socket.Send(kind, message, fds...); err != nil {
		m.forget(id)
		return answer{}, err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case got := <-reply:
		return got, got.err
	case <-m.ended:
		return answer{}, messages.ErrEnded
	case <-timer.C:
		m.forget(id)
		return answer{}, fmt.Errorf("the host does not answer within %v", timeout)
	}
}

func (m *remote) forget(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.calls, id)
}

// receive reads answers and exits and hands them to the calls that wait for them.
func (m *remote) receive() {
	for {
		packet, err := m.socket.Receive()
		if err != nil || !m.deliver(packet) {
			packet.Close()
			break
		}
	}
	m.socket.Close()
	close(m.ended)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ending := range m.exits {
		ending.Tell(nil)
	}
	for _, listener := range m.listeners {
		listener.end()
	}
}

// deliver handles one packet. It returns false for a packet that no helper may send.
func (m *remote) deliver(packet Packet) bool {
	var (
		done   messages.Done
		failed messages.Failed
		exited messages.Exited

		arrived messages.Arrived
	)
	switch {
	case packet.As(messages.TypeArrived, &arrived) == nil && len(packet.Files) == 1:
		m.arrived(arrived.ID, packet.Files[0])
		return true
	case packet.As(messages.TypeDone, &done) == nil && len(packet.Files) <= 1 && len(done.Address) <= messages.MaxText:
		return m.reply(done.ID, answer{file: first(packet.Files), address: done.Address})
	case len(packet.Files) > 0:
		return false
	case packet.As(messages.TypeFailed, &failed) == nil:
		return m.reply(failed.ID, answer{err: errors.New(messages.Printable(failed.Text))})
	case packet.As(messages.TypeExited, &exited) == nil:
		m.exited(exited)
		return true
	default:
		return false
	}
}

// reply hands an answer to the call that waits for it. It returns true also when no
// call waits any more, because it timed out.
func (m *remote) reply(id uint32, a answer) bool {
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

// arrived hands a connection to its listener. It takes the file over.
func (m *remote) arrived(id uint32, file *os.File) {
	m.mu.Lock()
	listener := m.listeners[id]
	m.mu.Unlock()
	if listener == nil {
		Discard(file)
		return
	}
	listener.deliver(file)
}

func (m *remote) exited(message messages.Exited) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ending := m.exits[message.ID]
	if ending == nil {
		return
	}
	delete(m.exits, message.ID)
	if known, err := sshconn.ParseExit(message.Request, message.Payload); err == nil {
		ending.Tell(&known)
	}
	ending.Tell(nil) // does nothing if the exit was told
}

func (a answer) close() {
	if a.file != nil {
		Discard(a.file)
	}
}

func first(files []*os.File) *os.File {
	if len(files) == 0 {
		return nil
	}
	return files[0]
}
