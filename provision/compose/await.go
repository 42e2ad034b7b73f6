package compose

import "context"

// Await returns what a computation returns, or the context's error as soon as the
// context ends. The computation, which asks nobody whether to go on, then goes on in
// the background: it must change nothing that the caller goes on to use.
func Await[T any](ctx context.Context, compute func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := compute()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
