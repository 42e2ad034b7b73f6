package strangers

import (
	"maps"
	"time"
)

// shares counts what each of several keys has used of something that they share:
// start-time fair queueing. Whoever has used least is next. Who is new, or has not
// asked for long, begins where those are who are served now: it neither waits
// behind those who have used much nor has saved anything up.
type shares[K comparable] struct {
	now  time.Duration       // where the one stands who was served last
	used map[K]time.Duration // of those who are ahead of now
}

// of is where a key stands.
func (s *shares[K]) of(key K) time.Duration { return max(s.used[key], s.now) }

// serve says that a key is served.
func (s *shares[K]) serve(key K) { s.now = s.of(key) }

// charge adds to what a key has used.
func (s *shares[K]) charge(key K, used time.Duration) {
	if s.used == nil {
		s.used = make(map[K]time.Duration)
	}
	s.used[key] = s.of(key) + used
	maps.DeleteFunc(s.used, func(_ K, used time.Duration) bool { return used <= s.now })
}
