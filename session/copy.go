package session

import (
	"io"
	"sync"
)

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

// halfCloser is a connection whose two directions end apart.
type halfCloser interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Join copies both ways, passing each side's EOF on, and closes both when
// both directions have ended. Ready goes before each write to a.
func Join(tasks *Tasks, a, b halfCloser, ready func()) {
	var both sync.WaitGroup
	both.Add(2)
	tasks.Go(func() {
		defer both.Done()
		Copy(a, b, ready)
		a.CloseWrite()
	})
	tasks.Go(func() {
		defer both.Done()
		Copy(b, a, nil)
		b.CloseWrite()
	})
	both.Wait()
	a.Close()
	b.Close()
}
