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

// inputGrace is how long data that arrived before its channel was closed may
// take to be delivered.
const inputGrace = time.Second

// Await waits until what was sent before a channel was closed is delivered, or
// nobody takes it.
func Await(delivered <-chan struct{}) {
	select {
	case <-delivered:
	case <-time.After(inputGrace):
	}
}
