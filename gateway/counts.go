package gateway

import "sync"

// counts are how many things of a kind people have at the same time.
type counts struct {
	mu    sync.Mutex
	taken map[countKey]int
}

type countKey struct{ what, person, host string }

// take counts one thing more, unless there are limit already; 0 is no limit. What
// was taken is given back once.
func (c *counts) take(key countKey, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit > 0 && c.taken[key] >= limit {
		return false
	}
	if c.taken == nil {
		c.taken = map[countKey]int{}
	}
	c.taken[key]++
	return true
}

func (c *counts) giveBack(key countKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken[key]--; c.taken[key] <= 0 {
		delete(c.taken, key)
	}
}
