package state

import (
	"path/filepath"
	"slices"
	"testing"
)

// Hosts are to trust both for a while; which one a host was made with is remembered.
func TestTheUserCAIsRotated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	first := s.UserCA().Trusted()
	must(t, s.RotateUserCA(), s.ReadKeys())
	both := s.UserCA().Trusted()
	if len(first) != 1 || len(both) != 2 || both[0] != first[0] || both[1] == first[0] || !slices.Equal(s.UserCA().Made(), first) {
		t.Fatalf("hosts are to trust %q, then %q", first, both)
	}
	must(t, s.CancelUserCA(), s.ReadKeys())
	if !slices.Equal(s.UserCA().Trusted(), first) {
		t.Errorf("after one that was cancelled: %q", s.UserCA().Trusted())
	}
	made := first
	for range 2 {
		must(t, s.RotateUserCA(), s.ReadKeys())
		next := s.UserCA().Trusted()[1:]
		must(t, s.FinishUserCA(), s.ReadKeys())
		made = slices.Concat(next, made[1:], made[:1])
		other := open(t, dir).UserCA()
		if !slices.Equal(other.Trusted(), next) || !slices.Equal(slices.Sorted(slices.Values(other.Made())), slices.Sorted(slices.Values(made))) {
			t.Errorf("hosts are to trust %q, want %q; they were made with %q, want %q", other.Trusted(), next, other.Made(), made)
		}
	}
}
