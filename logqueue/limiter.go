package logqueue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How many lines a Limiter lets through: this many at once, and then one in each
// lineEvery. It reports the number of dropped lines after tellEvery.
const (
	burst     = 200
	lineEvery = 100 * time.Millisecond
	tellEvery = 10 * time.Second
)

// Limiter is a handler that passes 200 records on at once, then ten a second. All
// handlers that are made of it share that. Others are left out, and a record
// tells every ten seconds how many.
type Limiter struct {
	slog.Handler
	bucket *bucket
}

// bucket is what handlers that are made of one share.
type bucket struct {
	tell func(leftOut int)

	mu      sync.Mutex
	full    time.Time // when there is room for a burst again
	leftOut int       // since it was last told
}

// Limit returns a limiter in front of a handler; whose are the lines that it
// limits, for the record that tells.
func Limit(to slog.Handler, whose string) Limiter {
	log := slog.New(to)
	return Limiter{to, &bucket{tell: func(leftOut int) {
		log.Warn("lines of this log were left out: too many", "whose", whose, "lines", leftOut)
	}}}
}

// Handle passes a record on, or counts it.
func (l Limiter) Handle(ctx context.Context, record slog.Record) error {
	if !l.bucket.take(time.Now()) {
		return nil
	}
	return l.Handler.Handle(ctx, record)
}

// WithAttrs implements [slog.Handler].
func (l Limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return Limiter{l.Handler.WithAttrs(attrs), l.bucket}
}

// WithGroup implements [slog.Handler].
func (l Limiter) WithGroup(name string) slog.Handler {
	return Limiter{l.Handler.WithGroup(name), l.bucket}
}

// take reports whether one more may pass now.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full.Before(now) {
		b.full = now
	}
	if b.full.Sub(now) > (burst-1)*lineEvery {
		if b.leftOut++; b.leftOut == 1 {
			time.AfterFunc(tellEvery, b.tellNow)
		}
		return false
	}
	b.full = b.full.Add(lineEvery)
	return true
}

func (b *bucket) tellNow() {
	b.mu.Lock()
	leftOut := b.leftOut
	b.leftOut = 0
	b.mu.Unlock()
	b.tell(leftOut)
}
