package strangers

import (
	"maps"
	"time"
)

// shares counts what each of several keys has used of something that they share, by
// start-time fair queueing. The key that has used least is next. One that is new, or has
// not asked for long, begins at the present position: it neither waits behind keys that
// have used much, nor has it saved up anything.
type shares[K comparable] struct {
	now  time.Duration       // the position of the key that was served last
	used map[K]time.Duration // the positions of keys that are ahead of now
}

// of returns the position of a key.
func (s *shares[K]) of(key K) time.Duration { return max(s.used[key], s.now) }

// serve notes that a key is served.
func (s *shares[K]) serve(key K) { s.now = s.of(key) }

// charge adds to what a key has used.
func (s *shares[K]) charge(key K, used time.Duration) {
	if s.used == nil {
		s.used = make(map[K]time.Duration)
	}
	s.used[key] = s.of(key) + used
	maps.DeleteFunc(s.used, func(_ K, used time.Duration) bool { return used <= s.now })
}
