package compose

import "context"

// Await calls compute and returns its result, or the context's error as soon as the
// context ends. In that case compute, which cannot be interrupted, goes on in the
// background: it must not change anything that the caller uses afterwards.
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
