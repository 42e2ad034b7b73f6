package gateway

import (
	"net"
	"sync"
	"sync/atomic"
)

// exchange is a client's connection as x/crypto reads and writes it. Until the
// login, x/crypto works on what a stranger sends only in turns: what was read is
// handed over when it is this one's turn, which is over as soon as x/crypto
// answers a key exchange or wants to read more.
type exchange struct {
	net.Conn
	turn     func() (done func(), err error) // waits for a processor
	loggedIn atomic.Bool

	mu     sync.Mutex
	done   func() // gives the turn back; nil while it has none
	secret bool   // what is written now is encrypted, so that nobody else may write
}

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
	if n == 0 || e.loggedIn.Load() {
		return n, err
	}
	done, turnErr := e.turn()
	if turnErr != nil {
		return 0, turnErr
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done = done; e.loggedIn.Load() { // and so nobody will give it back
		e.done()
		e.done = nil
	}
	return n, err
}

func (e *exchange) Write(p []byte) (int, error) {
	if e.loggedIn.Load() {
		return e.Conn.Write(p)
	}
	e.mu.Lock()
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
