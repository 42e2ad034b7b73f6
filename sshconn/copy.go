package sshconn

import (
	"io"
	"time"
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
