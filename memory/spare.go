package memory

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// LookEvery is the time between two calls of [Spare.Look].
const LookEvery = time.Second

// When memory is given back, and how much garbage may gather.
const (
	// quietBytes: a second in which less is allocated is quiet. Thousands of idle
	// connections allocate less. So may copies by AES-GCM; memory that is given back
	// during those is taken again at once.
	quietBytes = 4 << 20

	// quietLooks is how many quiet seconds in a row make the process quiet.
	quietLooks = 2

	// spareShare: memory is given back if more than this fraction (1/8) of what is
	// held was allocated since the last time, and so may be garbage. Less is not
	// worth a collection.
	spareShare = 8

	// rounds is how often memory is given back after a burst: each collection halves
	// the stacks that logins needed.
	rounds = 3

	// garbage is how many bytes of garbage may gather during copies when little
	// memory is in use; the memory limit divided by memoryShare bounds it, too. By
	// default Go's runtime would collect two hundred times per GB that is copied with
	// other ciphers than AES-GCM, whose packets come out of no pool. That would cost
	// a third of the gateway's time.
	garbage     = 32 << 20
	memoryShare = 16

	// copyBytes: a second in which more is allocated is one of copies. Logins
	// allocate less, and garbage is not to gather then: what logins leave would be
	// scattered among it and hold more memory.
	copyBytes = 64 << 20

	// defaultPercent is Go's default for GOGC: as much garbage as memory in use.
	defaultPercent = 100
)

// Spare gives memory back to the system when the process has become quiet. Go's
// runtime alone keeps as much garbage as memory in use, and in a process that
// allocates nothing it collects only every two minutes.
type Spare struct {
	used       func() usage
	giveBack   func()
	setPercent func(int) // nil if the environment sets GOGC
	garbage    uint64    // bytes

	last  uint64 // bytes allocated up to the last look
	quiet int    // quiet looks in a row
	left  int    // rounds that are left
	since uint64 // bytes allocated since memory was given back

	percent int // the percentage that is set; 0 at the start
}

// usage is what the runtime says about memory, in bytes.
type usage struct {
	allocated uint64 // in total, since the start
	held      uint64 // memory of the system that the process has
	live      uint64 // in use, as the last collection found
}

// NewSpare returns a Spare for a process with a memory limit in bytes.
func NewSpare(limit uint64) *Spare {
	s := &Spare{used: used, giveBack: debug.FreeOSMemory, garbage: min(garbage, limit/memoryShare)}
	if os.Getenv("GOGC") == "" {
		s.setPercent = func(percent int) { debug.SetGCPercent(percent) }
	}
	return s
}

// GiveBack calls [Spare.Look] every LookEvery until ctx ends.
func GiveBack(ctx context.Context) {
	spare := NewSpare(Limit())
	ticker := time.NewTicker(LookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			spare.Look()
		}
	}
}

// Look gives memory back if the process has become quiet. It must be called every
// LookEvery.
func (s *Spare) Look() {
	now := s.used()
	allocated := now.allocated - s.last
	s.last = now.allocated
	s.allowGarbage(now, allocated)
	s.since += allocated
	if allocated > quietBytes {
		s.quiet, s.left = 0, rounds
		return
	}
	if s.quiet++; s.quiet < quietLooks {
		return
	}
	if s.since > now.held/spareShare {
		s.left = max(s.left, 1)
	}
	if s.left > 0 {
		s.left--
		s.since = 0
		s.giveBack()
	}
}

// allowGarbage sets GOGC: higher after a second of copies, otherwise to Go's default.
// It ignores small changes, since setting it stops the gateway for a moment.
func (s *Spare) allowGarbage(now usage, allocated uint64) {
	if s.setPercent == nil || now.live == 0 {
		return
	}
	percent := defaultPercent
	if allocated >= copyBytes {
		percent = max(percent, int(s.garbage*100/now.live))
	}
	if s.percent*3/4 < percent && percent < s.percent*4/3 {
		return
	}
	s.percent = percent
	s.setPercent(percent)
}

func used() usage {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	return usage{samples[0].Value.Uint64(), samples[1].Value.Uint64() - samples[2].Value.Uint64(), samples[3].Value.Uint64()}
}
