package sshconn

import (
	"io"
	"maps"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxData is how many bytes of its own a global request or a channel open may have.
// What an open brings is kept as long as its channel; hosts and paths are a tenth of
// it.
const maxData = 16 << 10

// Arrival is what a peer sent that is no part of a channel: one of the three.
type Arrival struct {
	Request *ssh.Request
	Channel NewChannel
	Answer  func() // carries out what an answer to a request of ours leads to (see [Order.Ask])
}

// Order is a connection's global requests, channel opens and answers in the
// one order in which its peer sent them (RFC 4254). Peers count on it: a client
// asks for a forward, and opens a channel to it without waiting for the answer.
//
// x/crypto hands requests and channels out on two Go channels, where that order
// is lost; the edits in package patches number them. In a build without the
// edits, only answers keep their place before the channels that follow them.
type Order struct {
	conn     Conn
	requests <-chan *ssh.Request   // conn's; nil when it has ended
	channels <-chan ssh.NewChannel // the same
	answers  chan answer
	event    <-chan struct{}
	upon     func()
	gone     chan struct{} // closed when nothing more arrives

	early map[uint64]Arrival // what came here before what it follows
	next  uint64             // turn

	unnumbered *Arrival     // without the edits: what has arrived
	asking     sync.RWMutex // without the edits: held from a question until its answer is carried out
}

type answer struct {
	turn uint64
	Arrival
}

// edited is what the edits add to a connection; they also add a Turn to each
// request and channel, which counts from 0.
type edited interface {
	SendInTurn(name string, payload []byte) (ok bool, answer []byte, turn uint64, err error)
	StartChannel(kind string, extra []byte) (await func() (ssh.Channel, <-chan *ssh.Request, error), err error)
	Over() <-chan struct{}
}

// NewOrder orders what arrives on a connection, whose Channels and Requests
// nobody else may read.
func NewOrder(conn Conn) *Order {
	return &Order{
		conn: conn, requests: conn.Requests, channels: conn.Channels,
		answers: make(chan answer), gone: make(chan struct{}), early: map[uint64]Arrival{},
	}
}

// Upon has f called by Serve, between two arrivals, when the event has happened:
// its channel is closed. It is called once, before Serve.
func (o *Order) Upon(event <-chan struct{}, f func()) { o.event, o.upon = event, f }

// Serve hands what arrives to handle, one after the other, and returns when the
// connection has ended: a request to be carried out, a channel to be started, an
// answer to be called. While handle takes its time, a few more may wait, and then
// nothing is read of the peer. Serve is called once.
//
// It needs no goroutine but the caller's, of which an idle connection would keep
// the stack.
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
	for _, turn := range slices.Sorted(maps.Keys(o.early)) { // an answer between them will not come any more
		o.give(handle, o.early[turn])
	}
}

// receive waits for what arrives, and returns false when nothing does any more. It
// is a function of its own for the sake of the stack that waits.
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

// take keeps what has arrived until its turn comes.
func (o *Order) take(what any, arrived Arrival) {
	if numbered, isNumbered := what.(interface{ Turn() uint64 }); isNumbered {
		o.early[numbered.Turn()] = arrived
		return
	}
	o.unnumbered = &arrived
}

// give hands on what is admitted. What is not has had its turn, too.
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

// refuseLong refuses what has too much data, and reports whether it has.
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

// afterAnswer lets a channel wait for the answer that may have come before it.
func (o *Order) afterAnswer(arrived Arrival) {
	if arrived.Channel != nil {
		o.asking.RLock()
		//lint:ignore SA2001 waiting is all
		o.asking.RUnlock()
	}
}

// Ask sends a global request and returns when the peer's answer is carried out:
// in its turn, so after what the peer sent before it and before what it sent
// after it. Somebody else must be in Serve.
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

// StartChannel asks the peer to open a channel, and returns when that is sent;
// await waits for the answer. In a build without the edits, await sends it.
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

// InTurn reports whether [Order.Serve] hands on everything in the order in which the
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
