package sshconn

import (
	"io"
	"time"
)

const (
	// copySize is more than one SSH packet, so that a busy stream costs few reads.
	copySize = 128 << 10

	// idleSize is what people type, and what they read of a line.
	idleSize = 1 << 10
)

// Copy copies until either end fails, calling ready before each write if it
// is not nil. It returns the write's error, or nil where the source ended.
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
		switch { // an idle shell needs no large buffer, whatever it has printed
		case n == len(buf) && n < copySize:
			buf = make([]byte, copySize)
		case n < idleSize && len(buf) == copySize:
			buf = make([]byte, idleSize)
		}
	}
}

// cutGrace is how long data may still take to be delivered when its connection
// has ended.
const cutGrace = time.Second

// Await waits until what was sent before a channel was closed is delivered,
// however long its taker takes. Once cut is closed, because the connection has
// ended, it waits only a moment more. A nil cut never is.
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
