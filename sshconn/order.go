package sshconn

import (
	"io"
	"maps"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxWaiting is how many global requests and channel opens of one peer may
// wait. Of a peer that sends more, nothing is read until there is room.
const maxWaiting = 64

// maxData is how many bytes of its own a global request or a channel open may have.
// What an open brings is kept as long as its channel; hosts and paths are a tenth of
// it.
const maxData = 16 << 10

// Arrival is what a peer sent that is no part of a channel: one of the three.
type Arrival struct {
	Request *ssh.Request
	Channel ssh.NewChannel
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
	conn    Conn
	answers chan answer
	gone    chan struct{} // closed when nothing more arrives
	asking  sync.RWMutex  // without the edits: held from a question until its answer is carried out
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
	return &Order{conn: conn, answers: make(chan answer), gone: make(chan struct{})}
}

// Arrivals gives what arrives, until the connection has ended. It is called
// once, and all that it gives must be taken: a request to be carried out, a
// channel to be started, an answer to be called, each before the next is taken.
func (o *Order) Arrivals(tasks *Tasks) <-chan Arrival {
	arrivals := make(chan Arrival, maxWaiting)
	tasks.Go(func() {
		defer close(arrivals)
		defer close(o.gone)
		o.merge(arrivals)
	})
	return arrivals
}

// merge gives each its turn.
func (o *Order) merge(to chan<- Arrival) {
	requests, channels := o.conn.Requests, o.conn.Channels
	early := map[uint64]Arrival{} // they came here before those that they follow
	next := uint64(0)
	for requests != nil || channels != nil {
		var arrived Arrival
		var is any
		var turn uint64
		select {
		case request, ok := <-requests:
			if !ok {
				requests = nil
				continue
			}
			arrived.Request, is = request, request
		case channel, ok := <-channels:
			if !ok {
				channels = nil
				continue
			}
			arrived.Channel, is = channel, channel
		case answered := <-o.answers:
			arrived, turn = answered.Arrival, answered.turn
		}
		numbered, isNumbered := is.(interface{ Turn() uint64 })
		switch {
		case isNumbered:
			turn = numbered.Turn()
		case is != nil: // a build without the edits
			o.afterAnswer(arrived)
			o.give(to, arrived)
			continue
		}
		early[turn] = arrived
		for arrived, isThere := early[next]; isThere; arrived, isThere = early[next] {
			delete(early, next)
			o.give(to, arrived)
			next++
		}
	}
	for _, turn := range slices.Sorted(maps.Keys(early)) { // an answer between them will not come any more
		o.give(to, early[turn])
	}
}

// give hands on what is admitted. What is not has had its turn, too.
func (o *Order) give(to chan<- Arrival, arrived Arrival) {
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
	to <- arrived
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
// after it. Arrivals must be served by somebody else.
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
func (c Conn) StartChannel(kind string, extra []byte) (await func() (ssh.Channel, <-chan *ssh.Request, error)) {
	conn, isEdited := c.edited()
	if !isEdited {
		return func() (ssh.Channel, <-chan *ssh.Request, error) { return c.OpenChannel(kind, extra) }
	}
	answered, err := conn.StartChannel(kind, extra)
	if err != nil {
		return func() (ssh.Channel, <-chan *ssh.Request, error) { return nil, nil, io.EOF }
	}
	return func() (ssh.Channel, <-chan *ssh.Request, error) {
		channel, requests, err := answered()
		if err != nil {
			return nil, nil, err
		}
		return c.wrapped(kind, extra, channel), requests, nil
	}
}

func (c Conn) edited() (edited, bool) {
	conn := c.Conn
	if server, isServer := conn.(*ssh.ServerConn); isServer {
		conn = server.Conn
	}
	e, isEdited := conn.(edited)
	return e, isEdited
}
