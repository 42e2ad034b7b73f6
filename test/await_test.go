package test

import (
	"testing"
	"time"
)

// patience is how long anything may take that takes a moment. The machine may
// be busy with other tests.
const patience = 20 * time.Second

// await polls until done, or fails the test with what it waited for.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
