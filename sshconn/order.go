package sshconn

import (
	"io"
	"maps"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxData is how many bytes of data a global request or a channel open may have. The
// data of an open is kept as long as its channel. Hosts and paths need a tenth of
// this.
const maxData = 16 << 10

// Arrival is one thing that a peer sent outside of a channel. Exactly one field is
// set.
type Arrival struct {
	Request *ssh.Request
	Channel NewChannel
	Answer  func() // carries out the answer to a request of ours (see [Order.Ask])
}

// Order delivers a connection's global requests, channel opens and answers in the one
// order in which the peer sent them (RFC 4254). Peers rely on it: a client asks for a
// forward, and opens a channel to it without waiting for the answer.
//
// x/crypto delivers requests and channels on two Go channels, which loses the order;
// the edits in package patches number them. In a build without the edits, only an
// answer keeps its place before the channels that follow it.
type Order struct {
	conn     Conn
	requests <-chan *ssh.Request   // of conn; nil when it has ended
	channels <-chan ssh.NewChannel // of conn; nil when it has ended
	answers  chan answer
	event    <-chan struct{}
	upon     func()
	gone     chan struct{} // closed when nothing more can arrive

	early map[uint64]Arrival // by turn: arrivals whose predecessors have not come yet
	next  uint64             // the turn that is to be delivered next

	unnumbered *Arrival     // without the edits: the arrival to be delivered
	asking     sync.RWMutex // without the edits: held from a question until its answer is carried out
}

type answer struct {
	turn uint64
	Arrival
}

// edited has the methods that the edits add to a connection. The edits also add a
// method Turn, which counts from 0, to each request and channel.
type edited interface {
	SendInTurn(name string, payload []byte) (ok bool, answer []byte, turn uint64, err error)
	StartChannel(kind string, extra []byte) (await func() (ssh.Channel, <-chan *ssh.Request, error), err error)
	Over() <-chan struct{}
}

// NewOrder returns the order of a connection. Nothing else may read the connection's
// Channels and Requests.
func NewOrder(conn Conn) *Order {
	return &Order{
		conn: conn, requests: conn.Requests, channels: conn.Channels,
		answers: make(chan answer), gone: make(chan struct{}), early: map[uint64]Arrival{},
	}
}

// Upon makes Serve call f once, between two arrivals, when the channel event is
// closed. It must be called at most once, before Serve.
func (o *Order) Upon(event <-chan struct{}, f func()) { o.event, o.upon = event, f }

// Serve calls handle with one arrival after the other: a request to be carried out, a
// channel to be served, or an answer to be called. It returns when the connection has
// ended. While handle runs, a few more arrivals may wait; after that nothing is read
// from the peer. Serve must be called only once.
//
// It runs in the caller's goroutine only: each further one would cost every idle
// connection a stack.
func (o *Order) Serve(handle func(Arrival)) {
	defer close(o.gone)
	for o.receive() {
		for arrived, isThere := o.early[o.next]; isThere; arrived, isThere = o.early[o.next] {
			delete(o.early, o.next)
			o.next++
			o.give(handle, arrived)
		}
		if o.unnumbered != nil {
			arrived := *o.unnumbered
			o.unnumbered = nil
			o.afterAnswer(arrived)
			o.give(handle, arrived)
		}
	}
	for _, turn := range slices.Sorted(maps.Keys(o.early)) { // answers missing between them will not come any more
		o.give(handle, o.early[turn])
	}
}

// receive waits for an arrival, and returns false when nothing more can arrive. It is
// a separate function to keep the stack small while it waits.
func (o *Order) receive() bool {
	if o.requests == nil && o.channels == nil {
		return false
	}
	select {
	case request, ok := <-o.requests:
		if !ok {
			o.requests = nil
			return true
		}
		o.take(request, Arrival{Request: request})
	case channel, ok := <-o.channels:
		if !ok {
			o.channels = nil
			return true
		}
		o.take(channel, Arrival{Channel: arrivedChannel{channel}})
	case answered := <-o.answers:
		o.early[answered.turn] = answered.Arrival
	case <-o.event:
		o.event = nil
		o.upon()
	}
	return true
}

// take keeps an arrival until its turn comes.
func (o *Order) take(what any, arrived Arrival) {
	if numbered, isNumbered := what.(interface{ Turn() uint64 }); isNumbered {
		o.early[numbered.Turn()] = arrived
		return
	}
	o.unnumbered = &arrived
}

// give passes an arrival to handle if the filter admits it. A refused one has used
// its turn, too.
func (o *Order) give(handle func(Arrival), arrived Arrival) {
	if refuseLong(arrived) {
		return
	}
	if o.conn.admit != nil {
		admitted, ok := o.conn.admit(arrived)
		if !ok {
			return
		}
		arrived = admitted
	}
	handle(arrived)
}

// refuseLong refuses an arrival with too much data, and reports whether it did.
func refuseLong(arrived Arrival) bool {
	switch {
	case arrived.Request != nil && len(arrived.Request.Payload) > maxData:
		Reply(arrived.Request, false, nil)
	case arrived.Channel != nil && len(arrived.Channel.ExtraData()) > maxData:
		arrived.Channel.Reject(ssh.ResourceShortage, "too much data for a channel open")
	default:
		return false
	}
	return true
}

// afterAnswer waits, for a channel, until an answer that may have come before it is
// carried out.
func (o *Order) afterAnswer(arrived Arrival) {
	if arrived.Channel != nil {
		o.asking.RLock()
		//lint:ignore SA2001 waiting is all
		o.asking.RUnlock()
	}
}

// Ask sends a global request and returns when carry has handled the peer's answer.
// carry is called in the answer's turn: after what the peer sent before it, and
// before what it sent after it. Serve must run in another goroutine.
func (o *Order) Ask(name string, payload []byte, carry func(ok bool, answer []byte)) {
	conn, isEdited := o.conn.edited()
	if !isEdited {
		o.asking.Lock()
		defer o.asking.Unlock()
		ok, said, err := o.conn.SendRequest(name, true, payload)
		carry(ok && err == nil, said)
		return
	}
	ok, said, turn, err := conn.SendInTurn(name, payload)
	if err != nil {
		carry(false, nil)
		return
	}
	carried := make(chan struct{})
	select {
	case o.answers <- answer{turn, Arrival{Answer: func() {
		defer close(carried)
		carry(ok, said)
	}}}:
		<-carried
	case <-o.gone:
		carry(false, nil)
	}
}

// StartChannel sends the request to open a channel, and returns; await waits for the
// answer. In a build without the edits, await also sends the request.
func (c Conn) StartChannel(kind string, extra []byte) (await func() (ssh.Channel, Requests, error)) {
	answered := func() (ssh.Channel, <-chan *ssh.Request, error) { return c.OpenChannel(kind, extra) }
	if conn, isEdited := c.edited(); isEdited {
		started, err := conn.StartChannel(kind, extra)
		if err != nil {
			started = func() (ssh.Channel, <-chan *ssh.Request, error) { return nil, nil, io.EOF }
		}
		answered = started
	}
	return func() (ssh.Channel, Requests, error) {
		channel, requests, err := answered()
		if err != nil {
			return nil, nil, err
		}
		return c.wrapped(kind, extra, channel), requestsOf(requests), nil
	}
}

// InTurn reports whether [Order.Serve] delivers everything in the order in which the
// peer sent it. It does not in a build without the edits.
func (c Conn) InTurn() bool {
	_, isEdited := c.edited()
	return isEdited
}

func (c Conn) edited() (edited, bool) {
	conn := c.Conn
	if server, isServer := conn.(*ssh.ServerConn); isServer {
		conn = server.Conn
	}
	e, isEdited := conn.(edited)
	return e, isEdited
}
