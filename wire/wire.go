// Package wire is the network connection below SSH. It never blocks where
// x/crypto/ssh must not block, costs little while it is idle, and can look at what a
// client offers before the server offers anything.
package wire

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// highWater is how many bytes may be queued before Ready waits.
	highWater = 512 << 10

	// maxQueued is how many bytes may be queued before the connection fails. Only a
	// peer that keeps asking and never reads the answers gets there: data waits at
	// highWater.
	maxQueued = 64 << 20

	// flushTimeout is how long Close lets the last writes take.
	flushTimeout = 5 * time.Second
)

// Conn is a network connection below SSH. A read takes all that the kernel has. A
// write goes to a queue, which a goroutine empties with several packets in one system
// call. The buffers come from a Pool. An idle connection has neither buffers nor that
// goroutine.
//
// Write never waits for the peer. x/crypto reads and answers a connection in one
// goroutine: a write that blocks would stop its reading, and two peers that both
// write would wait for each other for ever. Code that copies data calls Ready before
// each write, and so adapts to the peer's speed.
type Conn struct {
	net.Conn
	pool   *Pool
	reader *reader

	lastRead atomic.Int64 // when the peer last sent something, in nanoseconds since started
	started  time.Time

	mu      sync.Mutex
	changed *sync.Cond // signalled when queue, writing, err or closing changes
	greeted string     // what Meet has written, and x/crypto will write again
	queue   []piece
	queued  int // bytes in queue
	err     error
	writing bool // the goroutine flush runs
	closing bool
}

// piece is a part of the queue: a block, or a packet that WriteWhole took over.
type piece struct {
	bytes    []byte
	giveBack func([]byte) // nil for a block
}

var errNotReading = errors.New("the peer does not read")

func newConn(pool *Pool, conn net.Conn) *Conn {
	w := &Conn{Conn: conn, pool: pool, reader: newReader(pool, conn), started: time.Now()}
	w.changed = sync.NewCond(&w.mu)
	return w
}

func (w *Conn) Read(p []byte) (int, error) {
	n, err := w.reader.Read(p)
	w.heard()
	return n, err
}

func (w *Conn) heard() { w.lastRead.Store(int64(time.Since(w.started))) }

// Silence returns how long ago the peer last sent something.
func (w *Conn) Silence() time.Duration {
	return time.Since(w.started) - time.Duration(w.lastRead.Load())
}

func (w *Conn) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.greeted != "" && string(p) == w.greeted {
		w.greeted = ""
		return len(p), nil
	}
	if err := w.mayQueue(len(p)); err != nil {
		return 0, err
	}
	w.enqueue(p)
	w.startFlush()
	return len(p), nil
}

// WriteWhole is Write without a copy: it takes the packet over. It calls giveBack
// with the packet when it is written, and never if writing fails.
func (w *Conn) WriteWhole(packet []byte, giveBack func([]byte)) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mayQueue(len(packet)); err != nil {
		return 0, err
	}
	w.queue = append(w.queue, piece{packet, giveBack})
	w.queued += len(packet)
	w.startFlush()
	return len(packet), nil
}

// mayQueue returns an error if n more bytes cannot be queued.
func (w *Conn) mayQueue(n int) error {
	switch {
	case w.err != nil:
		return w.err
	case w.closing:
		return net.ErrClosed
	case w.queued+n > maxQueued:
		w.err = errNotReading
		w.changed.Broadcast()
		return w.err
	}
	return nil
}

func (w *Conn) startFlush() {
	if !w.writing {
		w.writing = true
		go w.flush()
	}
}

// enqueue appends a copy of p to the queue.
func (w *Conn) enqueue(p []byte) {
	w.queued += len(p)
	for len(p) > 0 {
		last := len(w.queue) - 1
		if last < 0 || w.queue[last].giveBack != nil || len(w.queue[last].bytes) == blockSize {
			w.queue = append(w.queue, piece{bytes: w.pool.get()})
			last++
		}
		block := w.queue[last].bytes
		n := copy(block[len(block):blockSize], p)
		w.queue[last].bytes = block[:len(block)+n]
		p = p[n:]
	}
}

// Ready waits until there is room for more data, or until the connection has failed
// or is closed.
func (w *Conn) Ready() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.queued > highWater && w.err == nil && !w.closing {
		w.changed.Wait()
	}
}

// flush writes the queue until it is empty or the connection fails.
func (w *Conn) flush() {
	socket := socketOf(w.Conn) // to write many pieces in one system call
	for pieces := w.take(); pieces != nil; pieces = w.take() {
		rest := make(net.Buffers, len(pieces)) // WriteTo consumes it
		for i, piece := range pieces {
			rest[i] = piece.bytes
		}
		if _, err := rest.WriteTo(socket); err != nil {
			w.fail(err)
			continue
		}
		w.giveBack(pieces)
	}
}

// giveBack returns blocks that were written to the pool, and packets to their owners.
func (w *Conn) giveBack(pieces []piece) {
	for _, piece := range pieces {
		if piece.giveBack != nil {
			piece.giveBack(piece.bytes)
		} else {
			w.pool.put(piece.bytes)
		}
	}
}

// take returns all that is queued, or nil if flush is to end.
func (w *Conn) take() []piece {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.changed.Broadcast()
	if w.err != nil || w.queued == 0 {
		w.writing = false
		return nil
	}
	pieces := w.queue
	w.queue, w.queued = nil, 0
	return pieces
}

func (w *Conn) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.changed.Broadcast()
}

// Close writes what is queued, for at most flushTimeout, and closes the connection.
func (w *Conn) Close() error {
	w.Conn.SetWriteDeadline(time.Now().Add(flushTimeout))
	w.mu.Lock()
	w.closing = true
	w.changed.Broadcast()
	for w.writing {
		w.changed.Wait()
	}
	w.mu.Unlock()
	return w.Conn.Close()
}
