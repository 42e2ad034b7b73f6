package strangers

import (
	"context"
	"slices"
	"sync"
	"time"
)

// turns shares processors among strangers. What a key exchange and a password's
// hash take is counted by the clock, for each source, and within a source for each
// flow, such as a user's name: the turn is of the source that has had least, and
// there of the flow that has had least.
type turns struct {
	mu      sync.Mutex
	free    int // processors
	sources shares[Source]
	flows   map[Source]*shares[string]
	waiting []*turn // by arrival
}

type turn struct {
	source Source
	flow   string
	given  chan struct{} // closed when it is this one's turn
	since  time.Time
}

// take waits for a turn until ctx ends. done gives it back.
func (t *turns) take(ctx context.Context, source Source, flow string) (done func(), err error) {
	asked := &turn{source: source, flow: flow, given: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, asked)
	t.give()
	t.mu.Unlock()
	done = sync.OnceFunc(func() { t.giveBack(asked) })
	select {
	case <-asked.given:
		return done, nil
	case <-ctx.Done():
	}
	if t.withdraw(asked) {
		return nil, context.Cause(ctx)
	}
	return done, nil // it was given at the last moment
}

// give gives free processors to those who wait. t.mu is held.
func (t *turns) give() {
	for t.free > 0 && len(t.waiting) > 0 {
		next := 0
		for i := range t.waiting {
			if t.isBefore(t.waiting[i], t.waiting[next]) {
				next = i
			}
		}
		given := t.waiting[next]
		t.waiting = slices.Delete(t.waiting, next, next+1)
		t.free--
		t.sources.serve(given.source)
		t.flowsOf(given.source).serve(given.flow)
		given.since = time.Now()
		close(given.given)
	}
}

func (t *turns) isBefore(a, b *turn) bool {
	if a.source != b.source {
		return t.sources.of(a.source) < t.sources.of(b.source)
	}
	flows := t.flowsOf(a.source)
	return flows.of(a.flow) < flows.of(b.flow)
}

func (t *turns) flowsOf(source Source) *shares[string] {
	if t.flows == nil {
		t.flows = make(map[Source]*shares[string])
	}
	if t.flows[source] == nil {
		t.flows[source] = &shares[string]{}
	}
	return t.flows[source]
}

func (t *turns) giveBack(given *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	used := time.Since(given.since)
	t.sources.charge(given.source, used)
	t.flowsOf(given.source).charge(given.flow, used)
	t.free++
	t.give()
	t.forget()
}

// forget drops what sources have used that compete with nobody. t.mu is held.
func (t *turns) forget() {
	if len(t.waiting) == 0 {
		t.sources, t.flows = shares[Source]{}, nil
		return
	}
	for source := range t.flows {
		_, ahead := t.sources.used[source]
		waits := slices.ContainsFunc(t.waiting, func(w *turn) bool { return w.source == source })
		if !ahead && !waits {
			delete(t.flows, source)
		}
	}
}

// withdraw reports whether a turn is not given, and now never will be.
func (t *turns) withdraw(asked *turn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.waiting, asked)
	if at < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, at, at+1)
	return true
}
