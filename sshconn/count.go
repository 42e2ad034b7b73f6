package sshconn

import "sync"

// Count counts what is under way. Unlike with a sync.WaitGroup, Add may raise it from
// zero while somebody waits.
type Count struct {
	mu      sync.Mutex
	n       int
	changed *sync.Cond
}

// Add adds n, which may be negative.
func (c *Count) Add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	c.cond().Broadcast()
}

// Wait returns at a moment at which nothing is under way.
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
