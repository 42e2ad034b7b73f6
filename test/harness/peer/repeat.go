package peer

import (
	"sync"
	"testing"
)

// Repeat lets new peers attack the server at an address, this many times, eight at
// once. It returns when the server has hung up on each.
func Repeat(t *testing.T, address string, times int, attack func(*Peer) error) {
	t.Helper()
	var all sync.WaitGroup
	todo := make(chan struct{})
	for range 8 {
		all.Go(func() {
			for range todo {
				p, err := Dial(address)
				if err != nil {
					t.Error(err)
					continue
				}
				if err := attack(p); err != nil {
					t.Error(err)
				}
				p.Outlast()
			}
		})
	}
	for range times {
		todo <- struct{}{}
	}
	close(todo)
	all.Wait()
}
