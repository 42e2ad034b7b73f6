package descriptors

import (
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/machine"
)

// server answers one machine's socket inside the container.
type server struct {
	socket  *Socket
	machine *machine.Local

	mu        sync.Mutex
	processes map[uint32]*machine.Child
	listeners map[uint32]net.Listener
	released  map[uint32]bool
	closed    bool
}

// Serve answers requests until the socket is closed, and then closes all that it
// holds. It kills no process: those that survive the closing of their descriptors
// live on, as after an sshd.
func Serve(file *os.File, on *machine.Local) {
	socket, err := FileSocket(file, messages.MaxRequest)
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
		request, err := socket.Receive()
		if err != nil {
			return
		}
		s.answer(request)
	}
}

// answer handles one request, in a goroutine of its own if it may take long.
func (s *server) answer(request Packet) {
	var (
		start   messages.Start
		address messages.Address
		signal  messages.Signal
		release messages.Release
	)
	switch {
	case request.As(messages.TypeStart, &start) == nil:
		go s.start(start, request.Files)
		return // start has taken the files over
	case request.As(messages.TypeDial, &address) == nil:
		go s.dial(address)
	case request.As(messages.TypeListen, &address) == nil:
		go s.listen(address)
	case request.As(messages.TypeSignal, &signal) == nil:
		s.signal(signal)
	case request.As(messages.TypeRelease, &release) == nil:
		s.release(release.ID)
	}
	request.Close()
}

func (s *server) start(m messages.Start, files []*os.File) {
	defer Packet{Files: files}.Close()
	stdio, err := stdioOf(m, files)
	if err != nil {
		s.fail(m.ID, err)
		return
	}
	process, err := s.machine.Spawn(m.Command(), stdio)
	if err != nil {
		s.fail(m.ID, err)
		return
	}
	s.keepProcess(m.ID, process)
	if process.Pty != nil {
		err = withFD(process.Pty, func(fd int) error { return s.socket.Send(messages.TypeDone, messages.Done{ID: m.ID}, fd) })
		process.Pty.Close() // the gateway has the only copy: closing that one hangs the pty up
	} else {
		err = s.socket.Send(messages.TypeDone, messages.Done{ID: m.ID})
	}
	if err == nil {
		go s.awaitExit(m.ID, process)
	}
}

func stdioOf(m messages.Start, files []*os.File) (machine.Stdio, error) {
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
	exit := <-process.Ending.Exit()
	s.mu.Lock()
	delete(s.processes, id)
	s.mu.Unlock()
	s.socket.Send(messages.TypeExited, messages.Exited{ID: id, Request: exit.Request, Payload: string(exit.Payload)})
}

func (s *server) dial(m messages.Address) {
	conn, err := s.machine.Dial(m.Network, m.Address)
	if err != nil {
		s.fail(m.ID, err)
		return
	}
	defer conn.Close()
	err = withFD(conn, func(fd int) error { return s.socket.Send(messages.TypeDone, messages.Done{ID: m.ID}, fd) })
	if err != nil { // so that nobody waits for the exit for ever
		s.fail(m.ID, err)
	}
}

func (s *server) listen(m messages.Address) {
	listener, err := s.machine.Listen(m.Network, m.Address)
	if err != nil {
		s.fail(m.ID, err)
		return
	}
	if !s.keepListener(m.ID, listener) {
		listener.Close()
		s.socket.Send(messages.TypeDone, messages.Done{ID: m.ID})
		return
	}
	s.socket.Send(messages.TypeDone, messages.Done{ID: m.ID, Address: listener.Addr().String()})
	for { // until it is released
		conn, err := listener.Accept()
		if err != nil {
			s.socket.Send(messages.TypeDone, messages.Done{ID: m.ID})
			return
		}
		withFD(conn, func(fd int) error { return s.socket.Send(messages.TypeArrived, messages.Arrived{ID: m.ID}, fd) })
		conn.Close()
	}
}

func (s *server) signal(m messages.Signal) {
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
	s.released[id] = true // the listen request is still to come
}

func (s *server) fail(id uint32, err error) {
	text := err.Error()
	s.socket.Send(messages.TypeFailed, messages.Failed{ID: id, Text: text[:min(len(text), messages.MaxText)]})
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

// withFD calls f with the descriptor of a file or a connection, as machine.WithFD
// does. It fails for a holder that has none.
func withFD(holder any, f func(fd int) error) error {
	conn, ok := holder.(syscall.Conn)
	if !ok {
		return fmt.Errorf("%T has no descriptor", holder)
	}
	return machine.WithFD(conn, f)
}
