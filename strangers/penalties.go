package strangers

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// What a failure counts. An agent may offer many keys.
const (
	FailedPassword = 1.0
	FailedKey      = 0.1
	FailedLogin    = 0.2 // a connection that ends without a login
)

const (
	// halfLife is after which time half of what was counted is forgotten.
	halfLife = 5 * time.Minute

	// maxCounted bounds what is remembered, of sources and of users at sources.
	maxCounted = 1 << 16

	// maxPace is how long a client may have to wait because of failures. One that
	// would have to wait longer is told so at once.
	maxPace = 8 * time.Second
)

// slope is how failures slow passwords down: from the free ones on, each adds a
// step to the time between two hashes, up to the longest one.
type slope struct {
	free    float64
	step    time.Duration
	longest time.Duration
}

// The paces of passwords: four a second of one source, and twenty a minute of one
// user at one source, after some failures.
var (
	bySource = slope{free: 10, step: 25 * time.Millisecond, longest: 250 * time.Millisecond}
	byUser   = slope{free: 5, step: 300 * time.Millisecond, longest: 3 * time.Second}
)

func (s slope) gap(failures float64) time.Duration {
	if failures < s.free {
		return 0
	}
	return min(s.longest, time.Duration((failures-s.free+1)*float64(s.step)))
}

// Penalty is a source that is slowed down for its failures. It fades.
type Penalty struct {
	Source   Source
	Failures float64       // as they count now: half of them is forgotten every five minutes
	Gap      time.Duration // the time between two passwords that are tried for it
}

// TooOften is the error for a source or user with too many failures lately.
type TooOften struct{ Wait time.Duration }

func (e *TooOften) Error() string {
	return fmt.Sprintf("too many wrong passwords from your address lately: wait %d s, or use a key", int(math.Ceil(e.Wait.Seconds())))
}

// penalties counts failures. They only ever slow down: nobody is locked out.
type penalties struct {
	mu      sync.Mutex
	sources map[Source]*count
	users   map[userAt]*count
}

type userAt struct {
	source Source
	user   string
}

// count is failures that fade, and when the next password may be tried.
type count struct {
	failures float64
	at       time.Time // when failures was right
	next     time.Time
}

func (c *count) now() float64 {
	if c == nil {
		return 0
	}
	return c.failures * math.Exp2(-time.Since(c.at).Minutes()/halfLife.Minutes())
}

// add counts failures of a key, and returns the count before and after.
func add[K comparable](counts *map[K]*count, key K, failures float64) (before, after float64) {
	if *counts == nil {
		*counts = make(map[K]*count)
	}
	c := (*counts)[key]
	if c == nil {
		makeRoom(*counts)
		c = &count{}
		(*counts)[key] = c
	}
	before = c.now()
	c.failures, c.at = before+failures, time.Now()
	return before, c.failures
}

// makeRoom forgets what has faded, or else half of everything.
func makeRoom[K comparable](counts map[K]*count) {
	if len(counts) < maxCounted {
		return
	}
	maps.DeleteFunc(counts, func(_ K, c *count) bool { return c.now() < 1 })
	for key := range counts {
		if len(counts) <= maxCounted/2 {
			return
		}
		delete(counts, key)
	}
}

// failed counts. It returns a penalty if one has begun or has doubled by that.
func (p *penalties) failed(source Source, user string, failures float64) (Penalty, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if user != "" && failures >= FailedPassword {
		add(&p.users, userAt{source, user}, failures)
	}
	before, after := add(&p.sources, source, failures)
	grown := after >= bySource.free && math.Floor(math.Log2(after/bySource.free)) > math.Floor(math.Log2(before/bySource.free))
	return Penalty{source, after, bySource.gap(after)}, grown
}

// succeeded forgets the failures of a user at a source.
func (p *penalties) succeeded(source Source, user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, userAt{source, user})
}

// pace returns how long to wait before a password is tried, or a [*TooOften]. The time
// that it returns is reserved: later callers of the source wait longer.
func (p *penalties) pace(source Source, user string) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	atSource, ofUser := p.sources[source], p.users[userAt{source, user}]
	now := time.Now()
	when := now
	for _, c := range []*count{atSource, ofUser} {
		if c != nil && c.next.After(when) {
			when = c.next
		}
	}
	if wait := when.Sub(now); wait > maxPace {
		return 0, &TooOften{wait}
	}
	if atSource != nil {
		atSource.next = later(atSource.next, now).Add(bySource.gap(atSource.now()))
	}
	if ofUser != nil {
		ofUser.next = when.Add(byUser.gap(ofUser.now()))
	}
	return when.Sub(now), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// list returns the penalties there are, the greatest first.
func (p *penalties) list() []Penalty {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Penalty
	for source, c := range p.sources {
		if failures := c.now(); failures >= bySource.free {
			all = append(all, Penalty{source, failures, bySource.gap(failures)})
		}
	}
	slices.SortFunc(all, func(a, b Penalty) int { return cmp.Compare(b.Failures, a.Failures) })
	return all
}
