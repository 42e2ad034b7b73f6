package sshconn

import (
	"io"
	"sync"
)

// End is one of the two ends that Join joins: a channel, a connection, or a helper's
// stream.
type End struct {
	// Data is what is copied. If it has a CloseWrite, Join calls that to pass on the
	// EOF of the other end; otherwise it closes Data. If it has a Deliver, Join calls
	// that before it closes Data: it waits until the receiver has all that was
	// written, or until the connection is cut.
	Data io.ReadWriteCloser

	// Ready waits until the end can take more data. It is nil if Write itself waits.
	Ready func()

	// Serve answers the peer's requests beside the data, and returns when the peer
	// has closed the end in both directions. It is nil if the data alone shows that.
	Serve func()
}

// Join copies between two ends in both directions, passes on each one's EOF, and
// returns when both are closed. When a peer has closed one end, its last bytes are
// first delivered to the other end, which is then closed, too. That may take any
// time, but only a moment more once cut is closed (see [Await]).
func Join(a, b End, tasks *Tasks, cut <-chan struct{}) {
	toA, toB := make(chan struct{}), make(chan struct{})
	var parts sync.WaitGroup
	parts.Add(3)
	tasks.Go(func() {
		defer parts.Done()
		carry(b, a, toB)
	})
	tasks.Go(func() {
		defer parts.Done()
		a.closeWith(b, toA, toB, cut)
	})
	tasks.Go(func() {
		defer parts.Done()
		b.closeWith(a, toB, toA, cut)
	})
	carry(a, b, toA)
	parts.Wait()
}

// carry copies one direction and passes on its EOF.
func carry(dst, src End, delivered chan<- struct{}) {
	defer close(delivered)
	Copy(dst.Data, src.Data, dst.Ready)
	if half, ok := dst.Data.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return
	}
	dst.Data.Close()
}

// closeWith closes the other end when this one is closed and its last bytes are
// delivered.
func (e End) closeWith(other End, received, sent, cut <-chan struct{}) {
	if e.Serve != nil {
		e.Serve()
		Await(sent, cut)
		if far, ok := other.Data.(interface{ Deliver(cut <-chan struct{}) }); ok {
			far.Deliver(cut)
		}
	} else {
		<-received
		<-sent
	}
	other.Data.Close()
}
