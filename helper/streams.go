package helper

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"berth/machine"
	"berth/sshconn"

	"github.com/hashicorp/yamux"
)

var errEnded = errors.New("the helper in the container has ended")

// mux is the gateway's side of the streams that it shares with a helper. It
// alone opens streams, so that a container has it keep no more than it asked for.
type mux struct {
	session *yamux.Session
	letGoIn time.Duration // how long the helper may take to end a stream

	mu      sync.Mutex
	last    uint32
	closing sshconn.Count // streams that the helper has not ended yet
}

// newStreams makes a client of a helper that no descriptor reaches, for the
// reason why.
func newStreams(s standard, why error) (*Client, error) {
	session, err := yamux.Client(standard{&frames{Reader: s.Reader}, &frameWriter{w: s.Writer}, s.close}, muxed())
	if err != nil {
		return nil, err
	}
	c := &Client{mux: &mux{session: session, letGoIn: letGoTimeout}, why: why, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		<-session.CloseChan()
	}()
	return c, nil
}

func (x *mux) Close() error {
	err := x.session.Close()
	x.closing.Wait()
	return err
}

func (x *mux) newID() uint32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last++
	return x.last
}

// open opens a stream whose first message says what it is for.
func (x *mux) open(kind byte, message any) (*stream, error) {
	opened, err := x.session.OpenStream()
	if err != nil {
		return nil, errEnded
	}
	s := &stream{Stream: opened}
	if err := s.send(kind, message); err != nil {
		x.letGo(s)
		return nil, err
	}
	s.SetWriteDeadline(time.Time{})
	return s, nil
}

// letGo closes a stream and sees to it that the helper ends it, too: one that
// does not could have the gateway keep ever more of them, and is given up.
func (x *mux) letGo(s *stream) {
	if s.closed.Load() {
		return
	}
	s.Close()
	x.closing.Add(1)
	go func() {
		defer x.closing.Add(-1)
		if !s.drain(x.letGoIn) {
			x.session.Close()
		}
	}()
}

// thing is what was asked for: a process, a listener, a connection. It lives as
// long as its control, and its data goes by streams beside it.
type thing struct {
	mux     *mux
	id      uint32
	control *stream
	data    []*stream
	once    sync.Once
}

// ask asks for a thing with so many streams for its data. It does not wait for
// the answer.
func (x *mux) ask(kind byte, message func(id uint32) any, data int) (*thing, error) {
	t := &thing{mux: x, id: x.newID()}
	var err error
	if t.control, err = x.open(kind, message(t.id)); err != nil {
		return nil, err
	}
	for part := range data {
		s, err := x.open(typePart, partMessage{t.id, uint32(part)})
		if err != nil {
			t.Close()
			return nil, err
		}
		t.data = append(t.data, s)
	}
	return t, nil
}

// answer waits for the answer to what was asked for.
func (t *thing) answer(timeout time.Duration) (doneMessage, error) {
	t.control.SetReadDeadline(time.Now().Add(timeout))
	defer t.control.SetReadDeadline(time.Time{})
	var done doneMessage
	var failed failedMessage
	reply, err := t.control.receive(maxReply)
	switch {
	case errors.Is(err, yamux.ErrTimeout):
		return done, fmt.Errorf("no answer within %v", timeout)
	case err != nil:
		return done, errEnded
	case unmarshal(reply, typeDone, &done) == nil && len(done.Address) <= maxText:
		return done, nil
	case unmarshal(reply, typeFailed, &failed) == nil:
		return done, errors.New(printable(failed.Text))
	default:
		return done, errors.New("the helper answers with something else")
	}
}

// Close lets go of the thing.
func (t *thing) Close() error {
	t.once.Do(func() {
		t.mux.letGo(t.control)
		for _, s := range t.data {
			t.mux.letGo(s)
		}
	})
	return nil
}

// streamed is a machine.Machine behind a helper's streams, for one connection
// of a person.
type streamed struct {
	mux *mux

	mu     sync.Mutex
	things map[*thing]bool
	closed bool
}

// machine is the account's, for one connection of a person.
func (x *mux) machine() (machine.Machine, error) {
	if x.session.IsClosed() {
		return nil, errEnded
	}
	return &streamed{mux: x, things: map[*thing]bool{}}, nil
}

func (m *streamed) Done() <-chan struct{} { return m.mux.session.CloseChan() }

// Close lets go of all that the connection held.
func (m *streamed) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for t := range m.things {
		t.Close()
	}
	return nil
}

func (m *streamed) ask(kind byte, message func(id uint32) any, data int) (*thing, error) {
	t, err := m.mux.ask(kind, message, data)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		t.Close()
		return nil, net.ErrClosed
	}
	m.things[t] = true
	return t, nil
}

func (m *streamed) letGo(t *thing) error {
	m.mu.Lock()
	delete(m.things, t)
	m.mu.Unlock()
	return t.Close()
}

func (m *streamed) Start(command machine.Command) (*machine.Process, error) {
	data := 3
	if command.Pty != nil {
		data = 1
	}
	t, err := m.ask(typeStart, func(id uint32) any { return newStart(id, command) }, data)
	if err != nil {
		return nil, err
	}
	if _, err := t.answer(startTimeout); err != nil {
		m.letGo(t)
		return nil, err
	}
	return m.process(t), nil
}

// process is a started one. Its control says how it ended, and the end of its
// input that nobody there takes any.
func (m *streamed) process(t *thing) *machine.Process {
	var watching sync.WaitGroup
	exit := make(chan sshconn.Exit, 1)
	watching.Go(func() { t.awaitExit(exit) })
	p := &machine.Process{
		Exit:   exit,
		Signal: func(name string) error { return t.control.send(typeSignal, signalMessage{t.id, name}) },
		Close: func() error {
			defer watching.Wait()
			return m.letGo(t)
		},
	}
	if len(t.data) == 1 {
		p.Stdin, p.Stdout = typed{t.data[0]}, output{t.data[0], t.mux}
		p.Resize = func(s machine.Size) error { return t.control.send(typeResize, newResize(t.id, s)) }
		p.Break = func() error { return t.control.send(typeBreak, breakMessage{t.id}) }
		return p
	}
	watching.Go(func() { t.data[0].awaitBreak() })
	p.Stdin, p.Stdout, p.Stderr = input{t.data[0]}, output{t.data[1], t.mux}, output{t.data[2], t.mux}
	return p
}

func (t *thing) awaitExit(exit chan<- sshconn.Exit) {
	defer close(exit)
	for {
		said, err := t.control.receive(maxReply)
		if err != nil {
			return
		}
		var exited exitedMessage
		if unmarshal(said, typeExited, &exited) != nil {
			continue
		}
		if known, err := sshconn.ParseExit(exited.Request, exited.Payload); err == nil {
			exit <- known
		}
		break
	}
	io.Copy(io.Discard, t.control)
}

// awaitBreak waits until the helper says that it takes no more.
func (s *stream) awaitBreak() {
	io.Copy(io.Discard, s)
	s.breakOff()
}

type (
	// input is what a process reads; its Close is the end of input.
	input struct{ *stream }
	// typed is what is typed at a terminal.
	typed struct{ *stream }
	// output is what a process writes; its Close says that nobody reads on.
	output struct {
		*stream
		mux *mux
	}
)

func (i input) Close() error  { return i.CloseWrite() }
func (t typed) Close() error  { return nil }
func (o output) Close() error { o.mux.letGo(o.stream); return nil }

func (m *streamed) Dial(network, address string) (net.Conn, error) {
	t, err := m.ask(typeDial, func(id uint32) any { return addressMessage{id, network, address} }, 1)
	if err != nil {
		return nil, err
	}
	if _, err := t.answer(dialTimeout); err != nil {
		m.letGo(t)
		return nil, err
	}
	return m.conn(t, nil), nil
}

// conn is a connection of the machine; from is who made it, if that was not us.
func (m *streamed) conn(t *thing, from net.Addr) net.Conn {
	c := &streamConn{stream: t.data[0], from: from}
	c.watching.Go(func() {
		io.Copy(io.Discard, t.control)
		t.data[0].breakOff() // the connection is closed
	})
	c.letGo = func() error { return m.letGo(t) }
	return c
}

// streamConn is a connection of the machine.
type streamConn struct {
	*stream
	from     net.Addr
	letGo    func() error
	watching sync.WaitGroup
}

func (c *streamConn) RemoteAddr() net.Addr { return c.from }

func (c *streamConn) Close() error {
	defer c.watching.Wait()
	return c.letGo()
}

func (m *streamed) Listen(network, address string) (net.Listener, error) {
	t, err := m.ask(typeListen, func(id uint32) any { return addressMessage{id, network, address} }, 0)
	if err != nil {
		return nil, err
	}
	done, err := t.answer(startTimeout)
	l := &streamListener{machine: m, thing: t}
	if err == nil {
		l.address, err = listened(network, done.Address)
	}
	if err != nil {
		m.letGo(t)
		return nil, err
	}
	return l, nil
}

// streamListener is a listener of the machine, which stays there: connections
// that arrive at it are told, and taken one by one.
type streamListener struct {
	machine *streamed
	thing   *thing
	address net.Addr
}

func (l *streamListener) Addr() net.Addr { return l.address }
func (l *streamListener) Close() error   { return l.machine.letGo(l.thing) }

func (l *streamListener) Accept() (net.Conn, error) {
	said, err := l.thing.control.receive(maxReply)
	if err != nil {
		return nil, net.ErrClosed
	}
	var caller callerMessage
	if unmarshal(said, typeCaller, &caller) != nil {
		l.Close()
		return nil, net.ErrClosed
	}
	t, err := l.machine.ask(typeTake, func(id uint32) any { return takeMessage{id, caller.Number} }, 1)
	if err != nil {
		return nil, net.ErrClosed
	}
	return l.machine.conn(t, callerAddr(caller.From)), nil
}
