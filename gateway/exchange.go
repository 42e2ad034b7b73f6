package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/berth-ssh/berth/strangers"
	"github.com/berth-ssh/berth/wire"
)

// exchange is a client's connection as x/crypto reads and writes it. Before the login
// it bounds the processor time of key exchanges: each of them waits for its turn (see
// package strangers).
//
// In the first key exchange, Read returns the client's packets only in this
// connection's turn. The turn ends when x/crypto answers or reads again. For each
// later one the edited x/crypto takes a turn by ExchangeTurn. Before the login a
// client gets at most maxAnswers writes, and so only a few key exchanges.
type exchange struct {
	*counted
	turn     func() (done func(), err error) // waits for this connection's turn
	rekeys   rekeys
	loggedIn atomic.Bool
	gone     context.CancelCauseFunc // ends the login's context when a read fails

	greeted bool // the client's version line was read; used only by Read

	mu     sync.Mutex
	done   func() // ends the turn; nil if it has none
	secret bool   // writes are encrypted from here on, so only x/crypto may write
	over   bool   // the first key exchange has ended

	answers int // writes before the login
}

// maxAnswers is more than ten attempts with an agent full of keys need.
const maxAnswers = 200

var errTooManyAnswers = errors.New("the client asks for too much before it logs in")

// Numbers of messages of RFC 4253 and of its key exchanges, and the offset of that
// number in an unencrypted packet.
const (
	numberAt    = 5
	msgNewKeys  = 21
	msgKexReply = 31
	msgGexReply = 33
)

func (e *exchange) Read(p []byte) (int, error) {
	if e.loggedIn.Load() {
		return e.counted.Read(p)
	}
	e.giveBack()
	n, err := e.counted.Read(p)
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

// isVersion reports whether the bytes belong to the client's version line, which
// x/crypto reads byte by byte and which needs no turn.
func (e *exchange) isVersion(read []byte) bool {
	if e.greeted || len(read) > 1 {
		return false
	}
	e.greeted = read[0] == '\n'
	return true
}

// ExchangeTurn waits for a turn for a key exchange after the first one (RFC 4253 §9).
// The client may start these as often as it likes.
func (e *exchange) ExchangeTurn() (done func(), err error) {
	switch {
	case e.loggedIn.Load():
		return e.rekeys.take(rekeyFlow)
	case e.isOver():
		return e.rekeys.take("")
	}
	return func() {}, nil // the first one: Read has taken the turn
}

// Close closes the connection. Calls that wait for a turn then fail.
func (e *exchange) Close() error {
	e.rekeys.close()
	return e.counted.Close()
}

// isOver reports whether the first key exchange has ended.
func (e *exchange) isOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.over
}

func (e *exchange) Write(p []byte) (int, error) {
	if e.loggedIn.Load() {
		return e.counted.Write(p)
	}
	e.mu.Lock()
	if e.answers++; e.answers > maxAnswers {
		e.mu.Unlock()
		return 0, errTooManyAnswers
	}
	var number byte // 0 if it is encrypted
	if !e.secret && len(p) > numberAt {
		number = p[numberAt]
	}
	if number == msgNewKeys {
		e.secret, e.over = true, true
	}
	n, err := e.counted.Write(p)
	e.mu.Unlock()
	if number == 0 || number == msgKexReply || number == msgGexReply {
		e.giveBack()
	}
	return n, err
}

// WriteWhole is like [wire.Conn.WriteWhole].
func (e *exchange) WriteWhole(packet []byte, giveBack func([]byte)) (int, error) {
	if e.loggedIn.Load() {
		return e.counted.WriteWhole(packet, giveBack)
	}
	defer giveBack(packet)
	return e.Write(packet)
}

// giveBack ends the turn, if there is one.
func (e *exchange) giveBack() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done != nil {
		e.done()
		e.done = nil
	}
}

// disconnect sends the client the reason for which its connection ends. It returns
// false if it could not, since packets are encrypted already.
func (e *exchange) disconnect(why string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.secret {
		return false
	}
	e.secret = true // nothing may be written after it
	_, err := e.counted.Write(disconnect(tooManyConnections, why))
	return err == nil
}

// rekeys gives turns to key exchanges after the first one (RFC 4253 §9), of a client
// or of a host's sshd, which users may control. They count as the client's.
type rekeys struct {
	open     context.Context // ends when the connection is closed
	close    context.CancelFunc
	stranger *strangers.Stranger // the client as it was before its login
}

// rekeyFlow is the flow of turns for people who are logged in, so that they do not
// wait behind strangers of the same source. No user has this name, since it contains
// a space.
const rekeyFlow = "key re-exchange"

func newRekeys(ctx context.Context, stranger *strangers.Stranger) rekeys {
	open, close := context.WithCancel(ctx)
	return rekeys{open, close, stranger}
}

// take waits for a turn. It fails when the connection is closed.
func (r rekeys) take(flow string) (done func(), err error) { return r.stranger.Turn(r.open, flow) }

// hostExchange is the connection to a host's sshd as x/crypto reads and writes it.
type hostExchange struct {
	*wire.Conn
	rekeys   rekeys
	loggedIn atomic.Bool
}

// ExchangeTurn waits for a turn. The first key exchange needs none, since the gateway
// itself started it.
func (e *hostExchange) ExchangeTurn() (done func(), err error) {
	if !e.loggedIn.Load() {
		return func() {}, nil
	}
	return e.rekeys.take(rekeyFlow)
}

// Close closes the connection. Calls that wait for a turn then fail.
func (e *hostExchange) Close() error {
	e.rekeys.close()
	return e.Conn.Close()
}
