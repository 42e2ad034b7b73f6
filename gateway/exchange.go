package gateway

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// exchange is a client's connection as x/crypto reads and writes it. The first key
// exchange is done in turns: what was read is handed over when it is this one's
// turn, which is over as soon as x/crypto answers or wants to read more. After that
// x/crypto may wait for other things, among them a password's turn, so nothing is
// held any more; but a stranger gets few answers, and so few key exchanges.
type exchange struct {
	net.Conn
	turn     func() (done func(), err error) // waits for a processor
	loggedIn atomic.Bool

	mu     sync.Mutex
	done   func() // gives the turn back; nil while it has none
	secret bool   // what is written now is encrypted, so that nobody else may write

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
	if n == 0 || e.isOver() {
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

// isOver reports whether the first key exchange is.
func (e *exchange) isOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.secret
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
		e.secret = true
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
