package harness

import (
	"testing"
	"time"
)

// Patience is how long anything may take that normally takes a moment. The machine
// may be busy with other tests.
const Patience = 20 * time.Second

// Eventually polls until done returns true. After Patience it fails the test, with
// what it waited for.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// AwaitEnd waits until a channel is closed, as when a process has ended.
func AwaitEnd(t testing.TB, what string, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(Patience):
		t.Fatalf("not within %v: %s", Patience, what)
	}
}

// Within runs f, and fails the test if f does not return within Patience.
func Within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	AwaitEnd(t, what, done)
}

// IsClosed reports whether a channel is closed.
func IsClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
