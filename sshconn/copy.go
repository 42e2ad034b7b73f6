package sshconn

import (
	"io"
	"sync"
	"time"
)

const (
	// copySize is more than one SSH packet, so that a busy stream costs few reads.
	copySize = 128 << 10

	// idleSize is enough for what a person types, and for a line of output.
	idleSize = 1 << 10
)

// Copy copies until either end fails. It calls ready before each write, unless ready
// is nil. It returns the error of a write, or nil if the source ended or failed.
func Copy(dst io.Writer, src io.Reader, ready func()) error {
	buf := make([]byte, idleSize)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if ready != nil {
				ready()
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
		switch { // an idle shell gets a small buffer again, however much it has printed
		case n == len(buf) && n < copySize:
			buf = make([]byte, copySize)
		case n < idleSize && len(buf) == copySize:
			buf = make([]byte, idleSize)
		}
	}
}

// NotifyEnd returns a reader of r that closes ended when r ends or fails, before it
// tells its caller. So whoever acts on that end, such as a process whose input ends
// with it, acts after ended is closed.
func NotifyEnd(r io.Reader, ended chan<- struct{}) io.Reader {
	return &notifying{r, sync.OnceFunc(func() { close(ended) })}
}

type notifying struct {
	io.Reader
	end func()
}

func (r *notifying) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		r.end()
	}
	return n, err
}

// cutGrace is how much longer Await waits after the connection has ended.
const cutGrace = time.Second

// Await waits until delivered is closed: the receiver has all that was sent before a
// channel was closed, however long it took. Once cut is closed, because the
// connection has ended, Await waits for at most cutGrace more. A nil cut is never
// closed.
func Await(delivered, cut <-chan struct{}) {
	select {
	case <-delivered:
		return
	case <-cut:
	}
	select {
	case <-delivered:
	case <-time.After(cutGrace):
	}
}
