// Package logqueue keeps a log from stopping the program that writes it: a
// [Queue] never waits for who reads the log, and a [Limiter] keeps strangers from
// filling it.
package logqueue

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

// maxQueued is how many bytes may wait for the log's reader.
const maxQueued = 1 << 20

// Queue is a writer for a log. Its Write never waits and never fails: lines wait
// in a queue of at most 1 MiB, and lines that find no room, or that cannot be
// written, are lost. As soon as there is room again, a line tells how many.
type Queue struct {
	to    io.Writer
	ended chan struct{} // closed when all was written after Close

	mu      sync.Mutex
	changed *sync.Cond // any of what follows
	lines   [][]byte
	size    int // bytes in lines
	lost    int // lines, since it was last told
	closing bool
}

// New returns a queue in front of a writer that may wait for ever, such as stderr
// where it is a pipe. It must be closed.
func New(to io.Writer) *Queue {
	q := &Queue{to: to, ended: make(chan struct{})}
	q.changed = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// Write queues one line, or more. It returns at once.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing || q.size+len(line) > maxQueued {
		q.lost++
		return len(line), nil
	}
	q.lines = append(q.lines, append([]byte(nil), line...))
	q.size += len(line)
	q.changed.Signal()
	return len(line), nil
}

// Close writes what is queued, for at most so long, and takes no more.
func (q *Queue) Close(patience time.Duration) {
	q.mu.Lock()
	q.closing = true
	q.changed.Signal()
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(patience):
	}
}

func (q *Queue) run() {
	defer close(q.ended)
	for {
		line, lost, ok := q.next()
		if !ok {
			return
		}
		if lost > 0 {
			q.tell(lost)
		}
		if len(line) == 0 {
			continue
		}
		if _, err := q.to.Write(line); err != nil { // its reader is gone, or the disk is full
			q.mu.Lock()
			q.lost++
			q.mu.Unlock()
		}
	}
}

// next waits for a line. It is not ok when the queue is closed and empty.
func (q *Queue) next() (line []byte, lost int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 && !q.closing {
		q.changed.Wait()
	}
	if len(q.lines) == 0 {
		lost, q.lost = q.lost, 0
		return nil, lost, lost > 0
	}
	line, q.lines = q.lines[0], q.lines[1:]
	q.size -= len(line)
	lost, q.lost = q.lost, 0
	return line, lost, true
}

// tell writes how many lines were lost, or counts them again.
func (q *Queue) tell(lost int) {
	failed := false
	slog.New(slog.NewTextHandler(checked{q.to, &failed}, nil)).Warn("lines of this log were lost: its reader was too slow or gone", "lines", lost)
	if !failed {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closing {
		q.lost += lost
	}
}

// checked remembers that a write failed.
type checked struct {
	io.Writer
	failed *bool
}

func (c checked) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	*c.failed = err != nil
	return n, err
}
