package streams

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"github.com/hashicorp/yamux"
)

// firstTimeout is how long a stream may take to say what it is for, and a thing to
// get all of its streams. The gateway sends all of these at once.
const firstTimeout = 20 * time.Second

// server is the helper's side of the streams.
type server struct {
	session *yamux.Session
	machine *machine.Local
	tasks   *sshconn.Tasks

	mu      sync.Mutex
	parts   map[messages.Part]chan *stream // data streams, also of things whose request has not come yet
	callers map[uint32]net.Conn            // connections that arrived and are not taken yet
	last    uint32                         // the last caller's number
}

// Serve answers the gateway's requests until the gateway closes the streams.
func Serve(s Standard, on *machine.Local) error {
	session, err := yamux.Server(Standard{s.Reader, &frameWriter{w: s.Writer}, s.OnClose}, muxed())
	if err != nil {
		return err
	}
	srv := &server{
		session: session,
		machine: on,
		tasks:   &sshconn.Tasks{Panicked: func(any, []byte) { session.Close() }},
		parts:   map[messages.Part]chan *stream{},
		callers: map[uint32]net.Conn{},
	}
	defer srv.tasks.Wait()
	defer session.Close()
	for {
		opened, err := session.AcceptStream()
		if err != nil {
			return nil
		}
		srv.tasks.Go(func() { srv.serve(newStream(opened)) })
	}
}

// serve reads the first message of a stream and serves what it asks for to the end. A
// stream of data it only hands to its thing.
func (s *server) serve(from *stream) {
	from.SetReadDeadline(time.Now().Add(firstTimeout))
	first, err := from.receive(messages.MaxRequest)
	from.SetReadDeadline(time.Time{})
	var (
		part    messages.Part
		start   messages.Start
		address messages.Address
		take    messages.Take
	)
	switch {
	case err != nil:
	case first.As(messages.TypePart, &part) == nil:
		s.slot(part) <- from
		return
	case first.As(messages.TypeStart, &start) == nil:
		s.start(from, start)
	case first.As(messages.TypeDial, &address) == nil:
		s.dial(from, address)
	case first.As(messages.TypeListen, &address) == nil:
		s.listen(from, address)
	case first.As(messages.TypeTake, &take) == nil:
		s.take(from, take)
	}
	from.Close()
}

// slot returns the channel on which a data stream is handed to its thing. Either side
// may come first.
func (s *server) slot(part messages.Part) chan *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.parts[part]
	if slot == nil {
		slot = make(chan *stream, 1)
		s.parts[part] = slot
	}
	return slot
}

// data waits for the data streams of a thing. The caller must close them.
func (s *server) data(id uint32, parts int) ([]*stream, error) {
	var taken []*stream
	timeout := time.After(firstTimeout)
	for number := range parts {
		part := messages.Part{ID: id, Part: uint32(number)}
		select {
		case data := <-s.slot(part):
			taken = append(taken, data)
		case <-timeout:
			closeAll(taken)
			return nil, errors.New("the gateway opened no stream for the data")
		case <-s.session.CloseChan():
			closeAll(taken)
			return nil, net.ErrClosed
		}
		s.mu.Lock()
		delete(s.parts, part)
		s.mu.Unlock()
	}
	return taken, nil
}

func closeAll(streams []*stream) {
	for _, s := range streams {
		s.Close()
	}
}

func (s *stream) fail(id uint32, err error) {
	text := err.Error()
	s.send(messages.TypeFailed, messages.Failed{ID: id, Text: text[:min(len(text), messages.MaxText)]})
}

// start serves a process until the gateway releases it. Input that has arrived by
// then is delivered before its pipes are closed or its pty is hung up.
func (s *server) start(control *stream, m messages.Start) {
	parts := 3
	if m.Pty {
		parts = 1
	}
	data, err := s.data(m.ID, parts)
	if err != nil {
		control.fail(m.ID, err)
		return
	}
	defer closeAll(data)
	process, err := s.machine.Start(m.Command())
	if err != nil {
		control.fail(m.ID, err)
		return
	}
	control.send(messages.TypeDone, messages.Done{ID: m.ID})
	delivered := make(chan struct{})
	var copying sync.WaitGroup
	copying.Go(func() {
		defer close(delivered)
		copyInput(process, data[0])
	})
	copying.Go(func() { copyOutput(data[len(data)/2], process.Stdout) })
	if process.Stderr != nil {
		copying.Go(func() { copyOutput(data[2], process.Stderr) })
		copying.Go(func() { stopOutput(data[1], process.Stdout) })
		copying.Go(func() { stopOutput(data[2], process.Stderr) })
	}
	go func() { // the process may outlive its streams
		exit := <-process.Exit
		control.send(messages.TypeExited, messages.Exited{ID: m.ID, Request: exit.Request, Payload: string(exit.Payload)})
	}()
	last := newLetGo()
	go control.heed(process, last)
	<-last.asked
	sshconn.Await(delivered, last.cut)
	process.Close()
	closeAll(data)
	copying.Wait()
}

// letGo is how the gateway releases a thing. asked is closed first: the thing is to
// take what was sent to it, and then to end. cut is closed when the gateway no longer
// waits for that.
type letGo struct{ asked, cut chan struct{} }

func newLetGo() letGo { return letGo{make(chan struct{}), make(chan struct{})} }

// heed carries out the gateway's messages about a process until the gateway releases
// it. For a connection process is nil.
func (s *stream) heed(process *machine.Process, last letGo) {
	ask := sync.OnceFunc(func() { close(last.asked) })
	defer close(last.cut)
	defer ask()
	for {
		said, err := s.receive(messages.MaxRequest)
		if err != nil {
			return
		}
		var (
			signal  messages.Signal
			resize  messages.Resize
			broken  messages.Break
			deliver messages.Deliver
		)
		switch {
		case said.As(messages.TypeDeliver, &deliver) == nil:
			ask()
		case process == nil:
		case said.As(messages.TypeSignal, &signal) == nil:
			process.Signal(signal.Name)
		case said.As(messages.TypeResize, &resize) == nil && process.Resize != nil:
			process.Resize(resize.Size())
		case said.As(messages.TypeBreak, &broken) == nil && process.Break != nil:
			process.Break()
		}
	}
}

// copyInput copies input to a process until the input ends or the process takes no
// more. In the second case it ends the stream, which tells the gateway.
func copyInput(process *machine.Process, in *stream) {
	err := sshconn.Copy(process.Stdin, in, nil)
	process.Stdin.Close()
	if err != nil && process.Stderr != nil {
		in.CloseWrite()
	}
}

func copyOutput(out *stream, from io.Reader) {
	sshconn.Copy(out, from, nil)
	out.CloseWrite()
}

// stopOutput waits until the gateway stops reading an output, and closes the end that
// the output is read from: the process then gets SIGPIPE.
func stopOutput(out *stream, from io.Closer) {
	io.Copy(io.Discard, out)
	from.Close()
	out.breakOff()
}

func (s *server) dial(control *stream, m messages.Address) {
	data, err := s.data(m.ID, 1)
	if err != nil {
		control.fail(m.ID, err)
		return
	}
	defer closeAll(data)
	conn, err := s.machine.Dial(m.Network, m.Address)
	if err != nil {
		control.fail(m.ID, err)
		return
	}
	control.send(messages.TypeDone, messages.Done{ID: m.ID})
	s.join(control, data[0], conn)
}

// join serves a connection until both of its directions have ended, or until the
// gateway releases it.
func (s *server) join(control, data *stream, conn net.Conn) {
	last := newLetGo()
	go control.heed(nil, last)
	sshconn.Join(
		sshconn.End{Data: joinedStream{data, control}, Serve: func() { <-last.asked }},
		sshconn.End{Data: conn},
		s.tasks, last.cut)
}

// joinedStream is a data stream whose Close also ends its control.
type joinedStream struct {
	*stream
	control *stream
}

func (s joinedStream) Close() error {
	return errors.Join(s.control.CloseWrite(), s.stream.CloseWrite())
}

// listen announces each connection that arrives, until the gateway releases the
// listener.
func (s *server) listen(control *stream, m messages.Address) {
	listener, err := s.machine.Listen(m.Network, m.Address)
	if err != nil {
		control.fail(m.ID, err)
		return
	}
	control.send(messages.TypeDone, messages.Done{ID: m.ID, Address: listener.Addr().String()})
	var waiting callers
	s.tasks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.announce(control, &waiting, conn)
		}
	})
	io.Copy(io.Discard, control)
	listener.Close()
	for _, number := range waiting.end() {
		if conn := s.caller(number); conn != nil {
			conn.Close()
		}
	}
}

// announce keeps a connection that arrived and tells the gateway of it. It closes the
// connection if too many wait.
func (s *server) announce(control *stream, waiting *callers, conn net.Conn) {
	s.mu.Lock()
	s.last++
	number := s.last
	s.callers[number] = conn
	s.mu.Unlock()
	if !waiting.add(number, s.isTaken) || control.send(messages.TypeCaller, messages.Caller{Number: number, From: conn.RemoteAddr().String()}) != nil {
		s.caller(number)
		conn.Close()
	}
}

func (s *server) isTaken(number uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.callers[number] == nil
}

// caller takes a connection out of those that wait. It returns nil if it is not
// there.
func (s *server) caller(number uint32) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.callers[number]
	delete(s.callers, number)
	return conn
}

// take serves a connection that arrived and that the gateway takes now.
func (s *server) take(control *stream, m messages.Take) {
	data, err := s.data(m.ID, 1)
	if err != nil {
		return
	}
	defer closeAll(data)
	if conn := s.caller(m.Number); conn != nil {
		s.join(control, data[0], conn)
	}
}

// callers holds the numbers of a listener's connections that the gateway may not have
// taken yet.
type callers struct {
	mu      sync.Mutex
	numbers []uint32
	ended   bool
}

// add keeps a number. It returns false if too many wait, or if the listener has
// ended.
func (c *callers) add(number uint32, taken func(uint32) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.numbers[:0]
	for _, n := range c.numbers {
		if !taken(n) {
			left = append(left, n)
		}
	}
	c.numbers = left
	if c.ended || len(left) >= messages.MaxArrived {
		return false
	}
	c.numbers = append(left, number)
	return true
}

func (c *callers) end() []uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	return c.numbers
}
