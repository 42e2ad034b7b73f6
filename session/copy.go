package session

import "io"

// copySize is more than one SSH packet, so that a busy stream costs few reads.
const copySize = 128 << 10

// Copy copies until either end fails, calling ready before each write if it
// is not nil. It returns the write's error, or nil where the source ended.
func Copy(dst io.Writer, src io.Reader, ready func()) error {
	buf := make([]byte, 4<<10)
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
		if n == len(buf) && n < copySize { // an idle shell needs no large buffer
			buf = make([]byte, copySize)
		}
	}
}

// HalfCloser is a connection whose two directions end apart.
type HalfCloser interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Join copies both ways, passing each side's EOF on, until both directions
// have ended. ReadyA goes before each write to a, readyB before each to b.
func Join(tasks *Tasks, a, b HalfCloser, readyA, readyB func()) {
	toB := make(chan struct{})
	tasks.Go(func() {
		defer close(toB)
		Copy(b, a, readyB)
		b.CloseWrite()
	})
	Copy(a, b, readyA)
	a.CloseWrite()
	<-toB
}
