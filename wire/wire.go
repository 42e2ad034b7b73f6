// Package wire is a connection under SSH that never waits for its peer where
// x/crypto/ssh must not wait, that costs little while it is idle, and that
// hears what a client offers before anything is offered to it.
package wire

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// highWater is how much may be queued before those who copy data wait.
	highWater = 512 << 10

	// maxQueued ends a connection whose peer asks and never reads the answers.
	// Data cannot get there: it waits at highWater.
	maxQueued = 64 << 20

	// flushTimeout bounds the last writes of a connection that is closed.
	flushTimeout = 5 * time.Second
)

// Conn is a connection under SSH. A read takes all that the kernel has, and
// writes go to a queue that a goroutine empties, several packets a system
// call. The buffers are a Pool's. An idle connection has neither buffers nor
// the goroutine.
//
// Write never waits for the peer. x/crypto reads and answers a connection in
// one goroutine, so a write that waits could stop the reading, and two peers
// that both write would wait for each other for ever. Whoever copies data
// calls Ready before it writes, and so feels the peer's pace.
type Conn struct {
	net.Conn
	pool   *Pool
	reader *reader

	lastRead atomic.Int64 // when the peer was last heard of, as nanoseconds since started
	started  time.Time

	mu      sync.Mutex
	changed *sync.Cond // queue, writing, err or closing
	greeted string     // what Meet wrote and x/crypto will write again
	queue   []piece
	queued  int // bytes in queue
	err     error
	writing bool // flush runs
	closing bool
}

// piece is a part of what is queued: a block, or a packet that was taken over.
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

// Silence is how long the peer has not been heard of.
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

// WriteWhole is Write, and takes the packet over instead of copying it: giveBack is
// called with it when it is written, and never where that fails.
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

// mayQueue says why n bytes more cannot be queued.
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

// enqueue copies p to the end of the queue.
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

// Ready waits until there is room for more data, or the connection is over.
func (w *Conn) Ready() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.queued > highWater && w.err == nil && !w.closing {
		w.changed.Wait()
	}
}

// flush writes what is queued until nothing is, or the connection fails.
func (w *Conn) flush() {
	socket := socketOf(w.Conn) // many pieces a system call
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

// giveBack gives what was written to whoever it belongs to.
func (w *Conn) giveBack(pieces []piece) {
	for _, piece := range pieces {
		if piece.giveBack != nil {
			piece.giveBack(piece.bytes)
		} else {
			w.pool.put(piece.bytes)
		}
	}
}

// take returns all that is queued, or nil when flush has no more to do.
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

// Close writes what is queued, if the peer takes it, and closes.
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
