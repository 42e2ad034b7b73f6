package sshconn

import (
	"io"
	"sync"
)

// End is one of two ends that are joined: a channel, a connection, or a stream
// beside others.
type End struct {
	// Data is what is copied. Its CloseWrite, if it has one, passes on that the
	// other end has no more to say; otherwise it is closed whole. Its Deliver,
	// if it has one, waits until what was written is with whoever it is for, or
	// the connection is cut.
	Data io.ReadWriteCloser

	// Ready waits until the end can take more data; nil where its Write waits.
	Ready func()

	// Serve answers what the peer asks beside the data, and returns when the
	// peer has closed the end in both directions. It is nil where that is seen
	// from the data alone.
	Serve func()
}

// Join copies between two ends, passes each one's EOF on to the other, and
// returns when both are closed. An end that its peer has closed has its last
// bytes delivered to the other one, which is closed then. That takes as long as
// the other end does, until cut is closed (see [Await]).
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

// carry copies one direction and passes its end on.
func carry(dst, src End, delivered chan<- struct{}) {
	defer close(delivered)
	Copy(dst.Data, src.Data, dst.Ready)
	if half, ok := dst.Data.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return
	}
	dst.Data.Close()
}

// closeWith closes the other end once this one is closed and its last bytes
// are delivered.
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
