package sshconn

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Tasks are the goroutines of one connection. A panic in one of them ends only that
// connection. The owner calls Wait.
type Tasks struct {
	// Panicked is called after a panic, and must end the connection.
	Panicked func(value any, stack []byte)

	// Running counts the goroutines, if it is not nil. Several Tasks may share it.
	Running *atomic.Int64

	wg sync.WaitGroup
}

// Go runs f in a goroutine of its own.
func (t *Tasks) Go(f func()) {
	t.count(1)
	t.wg.Go(func() {
		defer t.count(-1)
		defer t.Recover()
		f()
	})
}

func (t *Tasks) count(n int64) {
	if t.Running != nil {
		t.Running.Add(n)
	}
}

// Wait returns when every goroutine has ended.
func (t *Tasks) Wait() { t.wg.Wait() }

// Recover handles a panic as Go does. It is for goroutines that were not started by
// Go, which must defer it.
func (t *Tasks) Recover() {
	if value := recover(); value != nil {
		t.Panicked(value, debug.Stack())
	}
}
