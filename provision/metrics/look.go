// Package metrics reports to Prometheus what a box has and how much of it is held:
// GPUs, processors, memory, and the hosts that provision made. docs/metrics.md has
// the names.
//
// A scrape does not itself ask the engine and the driver: it reports what was seen
// last, until that is too old, so a driver that hangs blocks nobody (see [Watch]).
// Labels have few different values: no person and no host is one.
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

// Seen is what was seen of a box at one moment.
type Seen struct {
	GPUs     []box.DeviceState
	NoGPUs   string // why they cannot be counted; "" where they were
	NoEngine string // why nothing is known of holders and of what follows; "" where it is

	Has, Reserved ledger.Amounts
	Hosts         map[string]int // number of hosts that provision made, by the engine's name of their state
}

// See returns what is seen of a box. all are its containers, as [plan.Marks.Judge]
// returns them.
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

// SeeGPUs returns what is seen of a box whose engine does not answer: only what the
// driver says. noEngine is the engine's error.
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

// maxOld: what was seen is reported for at most this many times the period of looks.
const maxOld = 10

// Watch looks at a box when somebody asks, but at most once in a period. It is safe
// for concurrent use.
type Watch struct {
	look    func(context.Context) (Seen, error)
	every   time.Duration
	ctx     context.Context
	mu      sync.Mutex
	looking chan struct{} // closed when the present look is over; nil if there is none
	began   time.Time     // start of the last look, also of a failed one
	seen    Seen
	at      time.Time // time of the last success; zero: never
	err     error     // of the last look
}

// NewWatch returns a watch that looks at most once in the given period, until ctx
// ends.
func NewWatch(ctx context.Context, every time.Duration, look func(context.Context) (Seen, error)) *Watch {
	return &Watch{look: look, every: every, ctx: ctx, err: fmt.Errorf("nobody has looked yet")}
}

// Now returns what was seen last, and its age. If it is time for another look, it
// starts one, and waits for its end or for the end of ctx. known is false if nothing
// was seen, or only too long ago; err is the error of the last look.
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

// begin starts a look if it is time for one. The returned channel is closed when that
// is over.
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

// Ready returns an error if it is unknown now what the box has and who holds it.
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
