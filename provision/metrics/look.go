// Package metrics says for Prometheus what a box has and what of it is held: GPUs,
// processors, memory, and the hosts that provision made. docs/metrics.md has the names.
//
// The engine and the driver are not asked at each scrape: what was seen is told again
// until it is old, and a driver that hangs holds up nobody (see [Watch]). Labels have
// few values: no person and no host is one.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/plan"
)

// Seen is what a look at a box has shown.
type Seen struct {
	GPUs     []box.DeviceState
	NoGPUs   string // why they cannot be counted; "" where they were
	NoEngine string // why nothing is known of holders and of what follows; "" where it is

	Has, Reserved ledger.Amounts
	Hosts         map[string]int // that provision made, by the engine's word for their state
}

// See returns what was seen of a box. all are its containers, as they were judged
// ([plan.Marks.Judge]).
func See(b box.Box, all []plan.Container) Seen {
	s := Seen{Has: ledger.Amounts{NanoCPUs: b.NanoCPUs, Memory: b.Memory}, Hosts: map[string]int{}}
	for _, c := range all {
		if c.Project() != "" && !c.Foreign {
			s.Hosts[c.State]++
		}
		if c.Counts() {
			s.Reserved.NanoCPUs += c.Claim.NanoCPUs
			s.Reserved.Memory += c.Claim.Memory
		}
	}
	s.count(apply.DeviceStates(b, all))
	return s
}

// SeeGPUs returns what was seen of a box whose engine tells nothing, and why it does not:
// what the driver says.
func SeeGPUs(b box.Box, noEngine error) Seen {
	s := Seen{NoEngine: noEngine.Error()}
	s.count(b.DeviceStates(nil))
	return s
}

func (s *Seen) count(gpus []box.DeviceState, err error) {
	s.GPUs = gpus
	if err != nil {
		s.NoGPUs = err.Error()
	}
}

// maxOld is how many times longer than it should be what was seen is told.
const maxOld = 10

// Watch looks at a box when somebody wants to know, and not more often than it was
// told to. It is safe for use by many at once.
type Watch struct {
	look    func(context.Context) (Seen, error)
	every   time.Duration
	ctx     context.Context
	mu      sync.Mutex
	looking chan struct{} // closed when the look that goes on is over; nil where none does
	began   time.Time     // the last look, whatever became of it
	seen    Seen
	at      time.Time // when that was seen; zero: never
	err     error     // of the last look
}

// NewWatch makes a watch that looks once in so much time at most, until ctx ends.
func NewWatch(ctx context.Context, every time.Duration, look func(context.Context) (Seen, error)) *Watch {
	return &Watch{look: look, every: every, ctx: ctx, err: fmt.Errorf("nobody has looked yet")}
}

// Now returns what was seen last, and how long ago. It begins a look if it is time for
// one, and waits for its end as long as ctx lasts. known is false where nothing was
// seen, or too long ago to be told; err is that of the last look.
func (w *Watch) Now(ctx context.Context) (seen Seen, age time.Duration, known bool, err error) {
	select {
	case <-w.begin():
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	age = time.Since(w.at)
	return w.seen, age, !w.at.IsZero() && age < maxOld*w.every, w.err
}

// begin returns what is closed when what was seen is as new as it will be.
func (w *Watch) begin() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.looking != nil:
		return w.looking
	case time.Since(w.began) < w.every:
		done := make(chan struct{})
		close(done)
		return done
	}
	w.began, w.looking = time.Now(), make(chan struct{})
	go w.lookOnce(w.looking)
	return w.looking
}

func (w *Watch) lookOnce(done chan struct{}) {
	began := time.Now()
	seen, err := w.look(w.ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err, w.looking = err, nil
	if err == nil {
		w.seen, w.at = seen, began
	}
	close(done)
}

// Ready returns why it is not known now what the box has and who holds it; nil where it is.
func (w *Watch) Ready(ctx context.Context) error {
	seen, _, known, err := w.Now(ctx)
	switch {
	case !known:
		return err
	case seen.NoEngine != "":
		return errors.New(seen.NoEngine)
	}
	return nil
}
