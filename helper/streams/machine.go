package streams

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"github.com/hashicorp/yamux"
)

// Client is the gateway's side of the streams that it shares with a helper. Only the
// client opens streams, so a container cannot make it keep more of them than it asked
// for.
type Client struct {
	session *yamux.Session
	peer    messages.Version
	letGoIn time.Duration // how long the helper may take to end a stream
	maxOpen int           // how many streams the helper may not have ended yet

	mu      sync.Mutex
	last    uint32
	letGoOf int           // streams that the helper has not ended yet
	closing sshconn.Count // the same number, for Close to wait for
}

// NewClient returns a client of a helper that runs [Serve] on its standard streams.
// It takes the streams over. peer is the version that the helper speaks.
func NewClient(s Standard, peer messages.Version) (*Client, error) {
	session, err := yamux.Client(Standard{&frames{Reader: s.Reader}, &frameWriter{w: s.Writer}, s.OnClose}, muxed())
	if err != nil {
		return nil, err
	}
	return &Client{session: session, peer: peer, letGoIn: letGoTimeout, maxOpen: maxLetGo}, nil
}

// Done is closed when the helper is gone.
func (x *Client) Done() <-chan struct{} { return x.session.CloseChan() }

// Close releases the helper, and returns when all streams are gone here.
func (x *Client) Close() error {
	err := x.session.Close()
	x.closing.Wait()
	return err
}

func (x *Client) newID() uint32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last++
	return x.last
}

// open opens a stream and sends its first message, which says what the stream is for.
func (x *Client) open(kind byte, message any) (*stream, error) {
	opened, err := x.session.OpenStream()
	if err != nil {
		return nil, messages.ErrEnded
	}
	s := newStream(opened)
	if err := s.send(kind, message); err != nil {
		x.letGo(s)
		return nil, err
	}
	s.SetWriteDeadline(time.Time{})
	return s, nil
}

// letGo closes a stream and waits in the background until the helper ends it, too. A
// helper that does not do so in time, or for too many streams, is given up: otherwise
// it could make the gateway keep more and more of them.
func (x *Client) letGo(s *stream) {
	if sshconn.Closed(s.closed) {
		return
	}
	s.Close()
	if x.count(1) > x.maxOpen {
		go x.session.Close()
	}
	x.closing.Add(1)
	go func() {
		defer x.closing.Add(-1)
		defer x.count(-1)
		if !s.drain(x.letGoIn) {
			x.session.Close()
		}
	}()
}

// count adds n to the number of streams that the helper has not ended yet, and
// returns the sum.
func (x *Client) count(n int) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.letGoOf += n
	return x.letGoOf
}

// thing is a process, a listener or a connection in the machine. It lives as long as
// its control; its data goes over other streams.
type thing struct {
	mux     *Client
	id      uint32
	control *stream
	data    []*stream
	once    sync.Once
	over    chan struct{} // closed by whoever reads the control, when the helper has ended it
}

// ask asks the helper for a thing, and opens as many streams for its data as data
// says. It does not wait for the answer.
func (x *Client) ask(kind byte, message func(id uint32) any, data int) (*thing, error) {
	t := &thing{mux: x, id: x.newID(), over: make(chan struct{})}
	var err error
	if t.control, err = x.open(kind, message(t.id)); err != nil {
		return nil, err
	}
	for part := range data {
		s, err := x.open(messages.TypePart, messages.Part{ID: t.id, Part: uint32(part)})
		if err != nil {
			t.Close()
			return nil, err
		}
		t.data = append(t.data, s)
	}
	return t, nil
}

// answer waits for the helper's answer to ask.
func (t *thing) answer(timeout time.Duration) (messages.Done, error) {
	t.control.SetReadDeadline(time.Now().Add(timeout))
	defer t.control.SetReadDeadline(time.Time{})
	var done messages.Done
	var failed messages.Failed
	reply, err := t.control.receive(messages.MaxReply)
	switch {
	case errors.Is(err, yamux.ErrTimeout):
		return done, fmt.Errorf("the host does not answer within %v", timeout)
	case err != nil:
		return done, messages.ErrEnded
	case reply.As(messages.TypeDone, &done) == nil && len(done.Address) <= messages.MaxText:
		return done, nil
	case reply.As(messages.TypeFailed, &failed) == nil:
		return done, errors.New(messages.Printable(failed.Text))
	default:
		return done, errors.New("the helper answers with something else")
	}
}

// Deliver waits until the thing has taken all that was sent to it and is over, or
// until cut is closed. With a helper before 3.2 it returns at once; such a helper
// delivers for a second after Close.
func (t *thing) Deliver(cut <-chan struct{}) {
	if t.mux.peer.Has(2) && t.control.send(messages.TypeDeliver, messages.Deliver{ID: t.id}) == nil {
		sshconn.Await(t.over, cut)
	}
}

// Close releases the thing.
func (t *thing) Close() error {
	t.once.Do(func() {
		t.mux.letGo(t.control)
		for _, s := range t.data {
			t.mux.letGo(s)
		}
	})
	return nil
}

// streamed is a machine.Machine behind a helper's streams, for one connection of a
// person.
type streamed struct {
	mux *Client

	mu     sync.Mutex
	things map[*thing]bool
	closed bool
}

// Machine returns the account's machine for one connection of a person.
func (x *Client) Machine() (machine.Machine, error) {
	if x.session.IsClosed() {
		return nil, messages.ErrEnded
	}
	return &streamed{mux: x, things: map[*thing]bool{}}, nil
}

func (m *streamed) Done() <-chan struct{} { return m.mux.session.CloseChan() }

// Close releases all that the connection held.
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
	command.UserRC = command.UserRC && m.mux.peer.Has(3)
	data := 3
	if command.Pty != nil {
		data = 1
	}
	t, err := m.ask(messages.TypeStart, func(id uint32) any { return messages.NewStart(id, command) }, data)
	if err != nil {
		return nil, err
	}
	if _, err := t.answer(messages.StartTimeout); err != nil {
		m.letGo(t)
		return nil, err
	}
	return m.process(t), nil
}

// process returns a process that was started. Its control tells how it ended. The end
// of the stream of its input tells that nobody reads that any more.
func (m *streamed) process(t *thing) *machine.Process {
	var watching sync.WaitGroup
	exit := make(chan sshconn.Exit, 1)
	watching.Go(func() { t.awaitExit(exit) })
	p := &machine.Process{
		Exit: exit,
		Signal: func(name string) error {
			return t.control.send(messages.TypeSignal, messages.Signal{ID: t.id, Name: name})
		},
		Close: func() error {
			defer watching.Wait()
			return m.letGo(t)
		},
	}
	if len(t.data) == 1 {
		p.Stdin, p.Stdout = typed{t.data[0]}, output{t.data[0], t.mux}
		p.Deliver = func(cut <-chan struct{}) {
			t.data[0].CloseWrite()
			t.Deliver(cut)
		}
		p.Resize = func(s machine.Size) error { return t.control.send(messages.TypeResize, messages.NewResize(t.id, s)) }
		p.Break = func() error { return t.control.send(messages.TypeBreak, messages.Break{ID: t.id}) }
		return p
	}
	p.Deliver = t.Deliver
	watching.Go(func() { t.data[0].awaitBreak() })
	p.Stdin, p.Stdout, p.Stderr = input{t.data[0]}, output{t.data[1], t.mux}, output{t.data[2], t.mux}
	return p
}

func (t *thing) awaitExit(exit chan<- sshconn.Exit) {
	defer close(t.over)
	t.readExit(exit)
	io.Copy(io.Discard, t.control)
}

func (t *thing) readExit(exit chan<- sshconn.Exit) {
	defer close(exit)
	for {
		said, err := t.control.receive(messages.MaxReply)
		if err != nil {
			return
		}
		var exited messages.Exited
		if said.As(messages.TypeExited, &exited) != nil {
			continue
		}
		if known, err := sshconn.ParseExit(exited.Request, exited.Payload); err == nil {
			exit <- known
		}
		return
	}
}

// awaitBreak returns when the helper says that the process takes no more input, and
// makes writes fail from then on.
func (s *stream) awaitBreak() {
	io.Copy(io.Discard, s)
	s.breakOff()
}

type (
	// input is the stream to a process's standard input; its Close is the end of
	// input.
	input struct{ *stream }
	// typed is the stream to a terminal; its Close does nothing.
	typed struct{ *stream }
	// output is the stream from a process; its Close tells the helper that nobody
	// reads any more.
	output struct {
		*stream
		mux *Client
	}
)

func (i input) Close() error  { return i.CloseWrite() }
func (t typed) Close() error  { return nil }
func (o output) Close() error { o.mux.letGo(o.stream); return nil }

func (m *streamed) Dial(network, address string) (net.Conn, error) {
	t, err := m.ask(messages.TypeDial, func(id uint32) any { return messages.Address{ID: id, Network: network, Address: address} }, 1)
	if err != nil {
		return nil, err
	}
	if _, err := t.answer(messages.DialTimeout); err != nil {
		m.letGo(t)
		return nil, err
	}
	return m.conn(t, nil), nil
}

// conn returns a connection of the machine. from is the address of its other end, or
// nil if the gateway dialled it.
func (m *streamed) conn(t *thing, from net.Addr) net.Conn {
	c := &streamConn{stream: t.data[0], thing: t, from: from}
	c.watching.Go(func() {
		defer close(t.over)
		io.Copy(io.Discard, t.control)
		t.data[0].breakOff() // the connection is closed
	})
	c.letGo = func() error { return m.letGo(t) }
	return c
}

// streamConn is a connection of the machine.
type streamConn struct {
	*stream
	thing    *thing
	from     net.Addr
	letGo    func() error
	watching sync.WaitGroup
}

func (c *streamConn) RemoteAddr() net.Addr { return c.from }

// Deliver waits until the other end in the machine has all that was written, or until
// cut is closed.
func (c *streamConn) Deliver(cut <-chan struct{}) { c.thing.Deliver(cut) }

func (c *streamConn) Close() error {
	defer c.watching.Wait()
	return c.letGo()
}

func (m *streamed) Listen(network, address string) (net.Listener, error) {
	t, err := m.ask(messages.TypeListen, func(id uint32) any { return messages.Address{ID: id, Network: network, Address: address} }, 0)
	if err != nil {
		return nil, err
	}
	done, err := t.answer(messages.StartTimeout)
	l := &streamListener{machine: m, thing: t}
	if err == nil {
		l.address, err = messages.ListenAddr(network, done.Address)
	}
	if err != nil {
		m.letGo(t)
		return nil, err
	}
	return l, nil
}

// streamListener is a listener that stays in the machine. The helper announces each
// connection that arrives, and the gateway takes them one by one.
type streamListener struct {
	machine *streamed
	thing   *thing
	address net.Addr
	reading sync.Mutex // of the control
}

func (l *streamListener) Addr() net.Addr { return l.address }

// Close returns when the machine has stopped listening: the helper then ends the
// control.
func (l *streamListener) Close() error {
	l.thing.control.CloseWrite()
	l.thing.control.SetReadDeadline(time.Now().Add(messages.StartTimeout))
	for err := error(nil); err == nil; _, err = l.arrival() {
	}
	return l.machine.letGo(l.thing)
}

// arrival waits for the next connection that the helper announces.
func (l *streamListener) arrival() (messages.Caller, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	var caller messages.Caller
	said, err := l.thing.control.receive(messages.MaxReply)
	if err != nil {
		return caller, err
	}
	return caller, said.As(messages.TypeCaller, &caller)
}

func (l *streamListener) Accept() (net.Conn, error) {
	caller, err := l.arrival()
	if err != nil {
		l.machine.letGo(l.thing)
		return nil, net.ErrClosed
	}
	t, err := l.machine.ask(messages.TypeTake, func(id uint32) any { return messages.Take{ID: id, Number: caller.Number} }, 1)
	if err != nil {
		return nil, net.ErrClosed
	}
	return l.machine.conn(t, messages.CallerAddr(caller.From)), nil
}
