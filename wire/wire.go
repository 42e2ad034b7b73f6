// Package wire is a connection under SSH that never waits for its peer where
// x/crypto/ssh must not wait.
package wire

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readBuffer = 64 << 10

	// highWater is how much may be queued before those who copy data wait.
	highWater = 512 << 10

	// maxQueued ends a connection whose peer asks and never reads the answers.
	// Data cannot get there: it waits at highWater.
	maxQueued = 64 << 20

	// flushTimeout bounds the last writes of a connection that is closed.
	flushTimeout = 5 * time.Second
)

// Conn is a connection under SSH. Reads come from a large buffer, and writes
// go to a queue that one goroutine empties, several packets a system call.
//
// Write never waits for the peer. x/crypto reads and answers a connection in
// one goroutine, so a write that waits could stop the reading, and two peers
// that both write would wait for each other for ever. Whoever copies data
// calls Ready before it writes, and so feels the peer's pace.
type Conn struct {
	net.Conn
	reader *bufio.Reader

	lastRead atomic.Int64 // when the peer was last heard of, as nanoseconds since started
	started  time.Time

	mu      sync.Mutex
	changed *sync.Cond // queue, err or closing
	queue   []byte
	err     error
	closing bool

	flushed chan struct{} // closed when the last write is over
}

var errNotReading = errors.New("the peer does not read")

// New takes the connection over.
func New(conn net.Conn) *Conn {
	w := &Conn{Conn: conn, reader: bufio.NewReaderSize(prompt(conn), readBuffer), started: time.Now(), flushed: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	go w.flush()
	return w
}

func (w *Conn) Read(p []byte) (int, error) {
	n, err := w.reader.Read(p)
	w.lastRead.Store(int64(time.Since(w.started)))
	return n, err
}

// Silence is how long the peer has not been heard of.
func (w *Conn) Silence() time.Duration {
	return time.Since(w.started) - time.Duration(w.lastRead.Load())
}

func (w *Conn) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return 0, w.err
	case w.closing:
		return 0, net.ErrClosed
	case len(w.queue)+len(p) > maxQueued:
		w.err = errNotReading
		w.changed.Broadcast()
		return 0, w.err
	}
	w.queue = append(w.queue, p...)
	w.changed.Broadcast()
	return len(p), nil
}

// Ready waits until there is room for more data, or the connection is over.
func (w *Conn) Ready() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > highWater && w.err == nil && !w.closing {
		w.changed.Wait()
	}
}

// flush writes what is queued until the connection is closed or fails.
func (w *Conn) flush() {
	defer close(w.flushed)
	var writing []byte
	for {
		var ok bool
		if writing, ok = w.take(writing); !ok {
			return
		}
		if _, err := w.Conn.Write(writing); err != nil {
			w.fail(err)
			return
		}
	}
}

// take exchanges what is queued for the buffer that was written.
func (w *Conn) take(written []byte) ([]byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && w.err == nil && !w.closing {
		w.changed.Wait()
	}
	if w.err != nil || len(w.queue) == 0 {
		return nil, false
	}
	queued := w.queue
	w.queue = written[:0]
	if cap(written) > highWater { // a burst is over: an idle connection keeps little
		w.queue = nil
	}
	w.changed.Broadcast()
	return queued, true
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
	w.mu.Lock()
	w.closing = true
	w.changed.Broadcast()
	w.mu.Unlock()
	w.Conn.SetWriteDeadline(time.Now().Add(flushTimeout))
	<-w.flushed
	return w.Conn.Close()
}
