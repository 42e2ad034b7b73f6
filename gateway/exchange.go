package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/berth-ssh/berth/strangers"
	"github.com/berth-ssh/berth/wire"
)

// exchange is a client's connection as x/crypto reads and writes it. It bounds how much
// processor time key exchanges take before the login: each of them waits for its turn
// (see package strangers).
//
// In the first one, Read hands over what it has read when it is this connection's turn;
// the turn ends when x/crypto answers or wants to read more. For each later one the edited
// x/crypto asks for a turn by ExchangeTurn. Before the login a client gets maxAnswers
// writes at most, and so few key exchanges.
type exchange struct {
	*counted
	turn     func() (done func(), err error) // waits for a processor
	rekeys   rekeys
	loggedIn atomic.Bool
	gone     context.CancelCauseFunc // cancels the login's context when a read fails

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

// isVersion reports whether what was read belongs to the client's version line, which
// needs no turn. x/crypto reads it byte by byte.
func (e *exchange) isVersion(read []byte) bool {
	if e.greeted || len(read) > 1 {
		return false
	}
	e.greeted = read[0] == '\n'
	return true
}

// ExchangeTurn waits for a turn for another key exchange than the first (RFC 4253 §9).
// The client may ask for one as often as it likes.
func (e *exchange) ExchangeTurn() (done func(), err error) {
	switch {
	case e.loggedIn.Load():
		return e.rekeys.take(rekeyFlow)
	case e.isOver():
		return e.rekeys.take("")
	}
	return func() {}, nil // Read has the turn
}

// Close closes the connection, and ends waiting for turns.
func (e *exchange) Close() error {
	e.rekeys.close()
	return e.counted.Close()
}

// isOver reports whether the first key exchange is.
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
	var number byte // 0 where it cannot be seen
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

// WriteWhole is that of [wire.Conn].
func (e *exchange) WriteWhole(packet []byte, giveBack func([]byte)) (int, error) {
	if e.loggedIn.Load() {
		return e.counted.WriteWhole(packet, giveBack)
	}
	defer giveBack(packet)
	return e.Write(packet)
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
	_, err := e.counted.Write(disconnect(tooManyConnections, why))
	return err == nil
}

// rekeys gives turns to the key exchanges after the first one (RFC 4253 §9), of a client
// or of a host's sshd, which users may control. The turns are those of the client's source.
type rekeys struct {
	open     context.Context // ends when the connection is closed
	close    context.CancelFunc
	stranger *strangers.Stranger // who the client was before its login
}

// rekeyFlow is the flow of turns for people who are logged in, so that they do not wait
// behind strangers of the same source. It has a space, so it is no user's name.
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

// ExchangeTurn waits for a turn. The first key exchange needs none: the gateway itself
// began it.
func (e *hostExchange) ExchangeTurn() (done func(), err error) {
	if !e.loggedIn.Load() {
		return func() {}, nil
	}
	return e.rekeys.take(rekeyFlow)
}

// Close closes the connection, and ends waiting for turns.
func (e *hostExchange) Close() error {
	e.rekeys.close()
	return e.Conn.Close()
}
