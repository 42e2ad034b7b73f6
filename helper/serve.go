package helper

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"berth/machine"
)

// server answers one machine's socket inside the container.
type server struct {
	socket  *socket
	machine *machine.Local

	mu        sync.Mutex
	processes map[uint32]*machine.Child
	listeners map[uint32]net.Listener
	released  map[uint32]bool
	closed    bool
}

// serve answers requests until the socket is closed, and then lets go of all
// that it holds. Processes are not killed: what closing their descriptors does
// not end lives on, as after an sshd.
func serve(file *os.File, on *machine.Local) {
	socket, err := newSocket(file, maxRequest)
	if err != nil {
		return
	}
	s := &server{
		socket:    socket,
		machine:   on,
		processes: map[uint32]*machine.Child{},
		listeners: map[uint32]net.Listener{},
		released:  map[uint32]bool{},
	}
	defer s.close()
	for {
		request, err := socket.receive()
		if err != nil {
			return
		}
		s.answer(request)
	}
}

// answer starts what may take long in a goroutine of its own.
func (s *server) answer(request packet) {
	var (
		start   startMessage
		address addressMessage
		signal  signalMessage
		release releaseMessage
	)
	switch {
	case unmarshal(request, typeStart, &start) == nil:
		go s.start(start, request.files)
		return // the files are start's now
	case unmarshal(request, typeDial, &address) == nil:
		go s.dial(address)
	case unmarshal(request, typeListen, &address) == nil:
		go s.listen(address)
	case unmarshal(request, typeSignal, &signal) == nil:
		s.signal(signal)
	case unmarshal(request, typeRelease, &release) == nil:
		s.release(release.ID)
	}
	request.close()
}

func (s *server) start(m startMessage, files []*os.File) {
	defer packet{files: files}.close()
	stdio, err := stdioOf(m, files)
	if err != nil {
		s.fail(m.ID, err)
		return
	}
	process, err := s.machine.Spawn(m.command(), stdio)
	if err != nil {
		s.fail(m.ID, err)
		return
	}
	s.keepProcess(m.ID, process)
	if process.Pty != nil {
		err = withFD(process.Pty, func(fd int) error { return s.socket.send(typeDone, doneMessage{ID: m.ID}, fd) })
		process.Pty.Close() // the gateway's is the only one: when it is closed, the pty is hung up
	} else {
		err = s.socket.send(typeDone, doneMessage{ID: m.ID})
	}
	if err == nil {
		go s.awaitExit(m.ID, process)
	}
}

func stdioOf(m startMessage, files []*os.File) (machine.Stdio, error) {
	switch {
	case m.Pty:
		return machine.Stdio{}, nil
	case len(files) == 3:
		return machine.Stdio{In: files[0], Out: files[1], Err: files[2]}, nil
	default:
		return machine.Stdio{}, fmt.Errorf("%d descriptors for a process that needs three", len(files))
	}
}

func (s *server) awaitExit(id uint32, process *machine.Child) {
	exit := <-process.Exit
	s.mu.Lock()
	delete(s.processes, id)
	s.mu.Unlock()
	s.socket.send(typeExited, exitedMessage{ID: id, Request: exit.Request, Payload: string(exit.Payload)})
}

func (s *server) dial(m addressMessage) {
	conn, err := s.machine.Dial(m.Network, m.Address)
	if err != nil {
		s.fail(m.ID, err)
		return
	}
	defer conn.Close()
	err = withFD(conn, func(fd int) error { return s.socket.send(typeDone, doneMessage{ID: m.ID}, fd) })
	if err != nil { // nobody waits in vain
		s.fail(m.ID, err)
	}
}

func (s *server) listen(m addressMessage) {
	listener, err := s.machine.Listen(m.Network, m.Address)
	if err != nil {
		s.fail(m.ID, err)
		return
	}
	if !s.keepListener(m.ID, listener) {
		listener.Close()
		return
	}
	s.socket.send(typeDone, doneMessage{ID: m.ID, Address: listener.Addr().String()})
	for { // until it is released
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		withFD(conn, func(fd int) error { return s.socket.send(typeArrived, arrivedMessage{m.ID}, fd) })
		conn.Close()
	}
}

func (s *server) signal(m signalMessage) {
	s.mu.Lock()
	process := s.processes[m.ID]
	s.mu.Unlock()
	if process != nil {
		process.Signal(m.Name)
	}
}

func (s *server) release(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if listener := s.listeners[id]; listener != nil {
		delete(s.listeners, id)
		listener.Close()
		return
	}
	s.released[id] = true // before it is there
}

func (s *server) fail(id uint32, err error) {
	text := err.Error()
	s.socket.send(typeFailed, failedMessage{ID: id, Text: text[:min(len(text), maxText)]})
}

func (s *server) keepProcess(id uint32, process *machine.Child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[id] = process
}

func (s *server) keepListener(id uint32, listener net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.released[id] {
		delete(s.released, id)
		return false
	}
	s.listeners[id] = listener
	return true
}

func (s *server) close() {
	s.socket.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, listener := range s.listeners {
		listener.Close()
	}
}

// withFD is machine.WithFD for a file or a connection. What has no descriptor
// cannot cross.
func withFD(holder any, f func(fd int) error) error {
	conn, ok := holder.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T has no descriptor", holder)
	}
	return machine.WithFD(conn, f)
}
