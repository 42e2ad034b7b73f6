// Package strangers limits connections that have not logged in yet, called strangers:
// their number, their use of the processors, and their failed logins.
//
// Nobody is ever locked out, and nobody can be kept out by others:
//
//   - A new stranger always gets a place. If there are too many, in all or of one
//     source, another one loses its place: one of the source that has most; of these,
//     one that has failed to log in or only waits; and of these, one of the older half.
//   - Strangers use the processors in turns, first the source that has used least. One
//     processor is never given to strangers, so that sessions have it.
//   - Failures slow down passwords of the source and the user that they came from, and
//     fade. Keys are never slowed down.
package strangers

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	maxStrangers          = 200
	maxStrangersPerSource = 50

	// MaxAsked is how many calls of directories and providers run at once.
	MaxAsked = 8

	// idleAfter is how long a stranger may take for its key exchange before it is
	// among the first to lose their place.
	idleAfter = 2 * time.Second
)

// ErrShut is the answer while the door is shut.
var ErrShut = errors.New("the gateway is short of memory; try again in a moment")

// errDisplaced is why a stranger loses its place to another.
var errDisplaced = errors.New("too many connections that are not logged in; try again in a moment")

// Door counts strangers.
type Door struct {
	exempt    []netip.Prefix
	turns     turns // to use a processor
	asking    turns // to call a directory or a provider
	penalties penalties

	mu      sync.Mutex
	shut    bool
	inside  map[*Stranger]bool
	sources map[Source]int // of those inside
}

// New opens a door. Strangers of exempt networks are not counted by their source,
// and their failures not at all.
func New(exempt []netip.Prefix) *Door {
	return &Door{
		exempt:  exempt,
		turns:   turns{free: max(1, runtime.GOMAXPROCS(0)-1)},
		asking:  turns{free: MaxAsked},
		inside:  make(map[*Stranger]bool),
		sources: make(map[Source]int),
	}
}

// Stranger is a connection that has not logged in.
type Stranger struct {
	door   *Door
	source Source
	exempt bool
	since  time.Time
	evict  func(why error)

	// Guarded by the door.
	heard     bool // the client has begun its key exchange
	exchanged bool // keys
	failed    bool // to log in, at least once
}

// Enter gives a new stranger a place, until Leave. If the stranger loses the place before,
// evict is called once, in a goroutine of its own, with the reason for the client. The
// error is for the client, too.
func (d *Door) Enter(address net.Addr, evict func(why error)) (*Stranger, error) {
	s := &Stranger{door: d, source: sourceOf(address), since: time.Now(), evict: evict}
	s.exempt = slices.ContainsFunc(d.exempt, func(network netip.Prefix) bool { return network.Contains(s.source.Addr()) })
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return nil, ErrShut
	}
	switch {
	case !s.exempt && d.sources[s.source] >= maxStrangersPerSource:
		d.displace(s.source)
	case len(d.inside) >= maxStrangers:
		d.displace(d.largest(s.source))
	}
	d.inside[s] = true
	d.sources[s.source]++
	return s, nil
}

// largest is the source with the most strangers; the one that is asked for, if it
// is among those.
func (d *Door) largest(asking Source) Source {
	largest := asking
	for source, n := range d.sources { // in random order
		if n > d.sources[largest] {
			largest = source
		}
	}
	return largest
}

// displace evicts one stranger of a source: of those that are least likely to log in, a
// random one of the older half. So a new one has time to begin, and a slow one a chance.
func (d *Door) displace(source Source) {
	var least []*Stranger
	for s := range d.inside { // in random order
		switch {
		case s.source != source:
		case len(least) == 0 || s.standing() < least[0].standing():
			least = []*Stranger{s}
		case s.standing() == least[0].standing():
			least = append(least, s)
		}
	}
	slices.SortFunc(least, func(a, b *Stranger) int { return a.since.Compare(b.since) })
	victim := least[rand.IntN((len(least)+1)/2)]
	d.remove(victim)
	go victim.evict(errDisplaced)
}

// standing orders strangers by how likely they are to log in.
func (s *Stranger) standing() int {
	switch {
	case s.failed:
		return 0
	case !s.exchanged && time.Since(s.since) > idleAfter:
		return 1
	case !s.heard && !s.exchanged:
		return 2
	case !s.exchanged:
		return 3
	}
	return 4
}

// remove forgets a stranger, if it is inside. d.mu is held.
func (d *Door) remove(s *Stranger) {
	if !d.inside[s] {
		return
	}
	delete(d.inside, s)
	if d.sources[s.source]--; d.sources[s.source] == 0 {
		delete(d.sources, s.source)
	}
}

// Shut makes Enter refuse everybody, or nobody any more.
func (d *Door) Shut(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
}

// Shed sends the newest strangers away, half of all but at least one, and returns
// how many.
func (d *Door) Shed(why error) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Stranger, 0, len(d.inside))
	for s := range d.inside {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Stranger) int { return b.since.Compare(a.since) })
	newest := all[:(len(all)+1)/2]
	for _, s := range newest {
		d.remove(s)
		go s.evict(why)
	}
	return len(newest)
}

// Inside is how many strangers there are, and of how many sources.
func (d *Door) Inside() (strangers, sources int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.inside), len(d.sources)
}

// Penalties lists the sources that are slowed down, the worst first.
func (d *Door) Penalties() []Penalty { return d.penalties.list() }

// Leave gives the place back: the stranger has logged in, or is gone. It may be
// called again.
func (s *Stranger) Leave() {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	s.door.remove(s)
}

// Heard says that the client has begun its key exchange.
func (s *Stranger) Heard() {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	s.heard = true
}

// Exchanged says that keys were exchanged.
func (s *Stranger) Exchanged() {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	s.exchanged = true
}

// Turn waits for a processor until ctx ends, and done gives it back. The flow is
// what turns of one source are shared by: a user's name, or "" for key exchanges.
func (s *Stranger) Turn(ctx context.Context, flow string) (done func(), err error) {
	return s.door.turns.take(ctx, s.source, flow)
}

// Ask waits for a turn to call a directory or a provider, as Turn does for a processor.
func (s *Stranger) Ask(ctx context.Context, flow string) (done func(), err error) {
	return s.door.asking.take(ctx, s.source, flow)
}

// Pace waits until a password of a user may be tried. The error is a [*TooOften],
// or ctx's.
func (s *Stranger) Pace(ctx context.Context, user string) error {
	if s.exempt {
		return nil
	}
	wait, err := s.door.penalties.pace(s.source, user)
	if err != nil || wait == 0 {
		return err
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Failed counts a failure, such as FailedPassword. It returns the source's penalty, and
// whether that has begun or doubled by it and should be logged.
func (s *Stranger) Failed(user string, failures float64) (Penalty, bool) {
	s.door.mu.Lock()
	s.failed = s.failed || failures >= FailedPassword
	s.door.mu.Unlock()
	if s.exempt {
		return Penalty{}, false
	}
	return s.door.penalties.failed(s.source, user, failures)
}

// Succeeded forgets the failures of a user at this source.
func (s *Stranger) Succeeded(user string) { s.door.penalties.succeeded(s.source, user) }
