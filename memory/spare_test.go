package memory

import (
	"slices"
	"testing"
)

// TestMemoryIsGivenBackWhenTheProcessIsQuiet: memory is given back neither during
// copies nor for little garbage, and again after the next burst.
func TestMemoryIsGivenBackWhenTheProcessIsQuiet(t *testing.T) {
	var now usage
	given := 0
	s := &Spare{used: func() usage { return now }, giveBack: func() { given++ }}
	seconds := func(n int, allocated uint64) (times int) {
		before := given
		for range n {
			now.allocated += allocated
			s.Look()
		}
		return given - before
	}
	now.held = 80 << 20
	for _, step := range []struct {
		what      string
		seconds   int
		allocated uint64 // in each
		want      int
	}{
		{"while it copies", 60, 100 << 20, 0},
		{"after that", 60, 0, rounds},
		{"while a person types", 60, 1 << 10, 0},
		{"a burst", 1, 50 << 20, 0},
		{"the next second", 1, 0, 0},
		{"from then on", 60, 0, rounds},
		{"while thousands of connections live", 60, 2 << 20, 60 / 6},
	} {
		if got := seconds(step.seconds, step.allocated); got != step.want {
			t.Errorf("%s: memory was given back %d times, not %d", step.what, got, step.want)
		}
	}
}

// TestGarbageGathersWhereLittleIsInUse: garbage is collected neither too often while
// one person copies, nor later than Go would if much memory is in use. A heap that
// grows and shrinks a little changes nothing.
func TestGarbageGathersWhereLittleIsInUse(t *testing.T) {
	var now usage
	var set []int
	s := &Spare{used: func() usage { return now }, giveBack: func() {}, setPercent: func(percent int) { set = append(set, percent) }, garbage: 32 << 20}
	for _, live := range []uint64{0, 4 << 20, 5 << 20, 4 << 20, 16 << 20, 300 << 20, 320 << 20, 2 << 20} {
		now.live = live
		now.allocated += copyBytes
		s.Look()
	}
	now.allocated += copyBytes - 1 // logins
	s.Look()
	if want := []int{800, 200, defaultPercent, 1600, defaultPercent}; !slices.Equal(set, want) {
		t.Errorf("the percents were %v, want %v", set, want)
	}
	if s := NewSpare(64 << 20); s.garbage != 4<<20 {
		t.Errorf("%d bytes of garbage where 64 MiB are all that there is", s.garbage)
	}
}
