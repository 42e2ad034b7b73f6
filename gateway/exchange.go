package gateway

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/berth-ssh/berth/strangers"
)

// exchange is a client's connection as x/crypto reads and writes it. The first key
// exchange is done in turns: what was read is handed over when it is this one's
// turn, which is over as soon as x/crypto answers or wants to read more. After that
// x/crypto may wait for other things, among them a password's turn, so nothing is
// held any more; but a stranger gets few answers, and so few key exchanges, and for
// each of them the edited x/crypto asks for a turn (ExchangeTurn).
type exchange struct {
	net.Conn
	turn     func() (done func(), err error) // waits for a processor
	again    exchangesAgain
	loggedIn atomic.Bool
	gone     context.CancelCauseFunc // what is waited for in a login ends when the client is gone

	greeted bool // the client's version line was read; Read's alone

	mu     sync.Mutex
	done   func() // gives the turn back; nil while it has none
	secret bool   // what is written now is encrypted, so that nobody else may write
	over   bool   // the first key exchange is

	answers int // before the login
}

// maxAnswers is more than ten attempts and an agent full of keys need.
const maxAnswers = 200

var errTooManyAnswers = errors.New("the client asks for too much before it logs in")

// Messages of RFC 4253 and of its key exchanges, with the place of a packet's
// number in it.
const (
	numberAt    = 5
	msgNewKeys  = 21
	msgKexReply = 31
	msgGexReply = 33
)

func (e *exchange) Read(p []byte) (int, error) {
	if e.loggedIn.Load() {
		return e.Conn.Read(p)
	}
	e.giveBack()
	n, err := e.Conn.Read(p)
	if err != nil && e.gone != nil {
		e.gone(err)
	}
	if n == 0 || e.isVersion(p[:n]) || e.isOver() {
		return n, err
	}
	done, turnErr := e.turn()
	if turnErr != nil {
		return 0, turnErr
	}
	e.mu.Lock()
	e.done = done
	e.mu.Unlock()
	return n, err
}

// isVersion reports whether what was read is of the client's version line, which
// x/crypto reads byte by byte, and which costs nothing.
func (e *exchange) isVersion(read []byte) bool {
	if e.greeted || len(read) > 1 {
		return false
	}
	e.greeted = read[0] == '\n'
	return true
}

// ExchangeTurn waits for a turn for a key exchange that is not the first, which the
// peer may ask for as often as it likes.
func (e *exchange) ExchangeTurn() (done func(), err error) {
	switch {
	case e.loggedIn.Load():
		return e.again.take(flowAgain)
	case e.isOver():
		return e.again.take("")
	}
	return func() {}, nil // Read has it
}

// Close lets nothing wait for a turn any more.
func (e *exchange) Close() error {
	e.again.close()
	return e.Conn.Close()
}

// isOver reports whether the first key exchange is.
func (e *exchange) isOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over
}

func (e *exchange) Write(p []byte) (int, error) {
	if e.loggedIn.Load() {
		return e.Conn.Write(p)
	}
	e.mu.Lock()
	if e.answers++; e.answers > maxAnswers {
		e.mu.Unlock()
		return 0, errTooManyAnswers
	}
	var number byte // 0 where it cannot be seen
	if !e.secret && len(p) > numberAt {
		number = p[numberAt]
	}
	if number == msgNewKeys {
		e.secret, e.over = true, true
	}
	n, err := e.Conn.Write(p)
	e.mu.Unlock()
	if number == 0 || number == msgKexReply || number == msgGexReply {
		e.giveBack()
	}
	return n, err
}

// giveBack gives the turn back, if there is one.
func (e *exchange) giveBack() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done != nil {
		e.done()
		e.done = nil
	}
}

// disconnect tells the client why its connection ends, and reports whether it
// could: while packets are still in clear.
func (e *exchange) disconnect(why string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.secret {
		return false
	}
	e.secret = true // nothing follows
	_, err := e.Conn.Write(disconnect(tooManyConnections, why))
	return err == nil
}

// exchangesAgain are the key exchanges after the first, of a client or of a host's
// sshd, which is in a container where people do what they like. They are done in turns
// of the client's source.
type exchangesAgain struct {
	open  context.Context // until the connection is closed
	close context.CancelFunc
	who   *strangers.Stranger // it was one
}

// flowAgain is what turns of people who are logged in are counted by, so that among
// those of their source they are not behind the strangers'. It is no user's name.
const flowAgain = "exchanges again"

func newExchangesAgain(ctx context.Context, who *strangers.Stranger) exchangesAgain {
	open, close := context.WithCancel(ctx)
	return exchangesAgain{open, close, who}
}

// take waits for a turn. It fails when the connection is closed.
func (a exchangesAgain) take(flow string) (done func(), err error) { return a.who.Turn(a.open, flow) }

// hostExchange is the connection to a host's sshd as x/crypto reads and writes it.
type hostExchange struct {
	net.Conn
	again    exchangesAgain
	loggedIn atomic.Bool
}

// ExchangeTurn waits for a turn, unless it is for the first key exchange, which the
// gateway itself has asked for.
func (e *hostExchange) ExchangeTurn() (done func(), err error) {
	if !e.loggedIn.Load() {
		return func() {}, nil
	}
	return e.again.take(flowAgain)
}

// Close lets nothing wait for a turn any more.
func (e *hostExchange) Close() error {
	e.again.close()
	return e.Conn.Close()
}
