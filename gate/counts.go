package gate

import "sync"

// Counts are how many things of a kind people have at the same time.
type Counts struct {
	mu    sync.Mutex
	taken map[Key]int
}

// Key is what is counted: things of a kind that a person has, on one host or, where
// that is "", on all.
type Key struct{ What, Person, Host string }

// Take counts one thing more, unless there are limit already; 0 is no limit. What
// was taken is given back once.
func (c *Counts) Take(key Key, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit > 0 && c.taken[key] >= limit {
		return false
	}
	if c.taken == nil {
		c.taken = map[Key]int{}
	}
	c.taken[key]++
	return true
}

// GiveBack counts one thing less.
func (c *Counts) GiveBack(key Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken[key]--; c.taken[key] <= 0 {
		delete(c.taken, key)
	}
}
