package sshconn

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Tasks are the goroutines of one connection. Whoever made them waits for
// them, and a panic in one ends that connection only.
type Tasks struct {
	// Panicked is told of a panic, and must end the connection.
	Panicked func(value any, stack []byte)

	// Running, if it is not nil, counts those that run. Several Tasks may share it.
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

// Recover is deferred by a goroutine that Go did not start.
func (t *Tasks) Recover() {
	if value := recover(); value != nil {
		t.Panicked(value, debug.Stack())
	}
}
