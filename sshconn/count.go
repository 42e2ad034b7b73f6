package sshconn

import "sync"

// Count counts what is under way. Unlike a sync.WaitGroup's, its Add may come
// from nothing while somebody waits.
type Count struct {
	mu      sync.Mutex
	n       int
	changed *sync.Cond
}

// Add adds to the count, or takes from it.
func (c *Count) Add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	c.cond().Broadcast()
}

// Wait returns when nothing is under way, at that moment.
func (c *Count) Wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n > 0 {
		c.cond().Wait()
	}
}

func (c *Count) cond() *sync.Cond {
	if c.changed == nil {
		c.changed = sync.NewCond(&c.mu)
	}
	return c.changed
}
