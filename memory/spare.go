package memory

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// LookEvery is how often a process looks at what it holds.
const LookEvery = time.Second

// How memory is given back.
const (
	// quietBytes is more than a gateway allocates in a second with thousands of
	// connections that only live. Copies by AES-GCM may allocate less, too: what is
	// given back meanwhile they take again at once.
	quietBytes = 4 << 20

	// quietLooks is how many looks in a row must be quiet.
	quietLooks = 2

	// spareShare: where less than this share of what is held may be garbage,
	// collecting it is not worth its time.
	spareShare = 8

	// rounds is how often memory is given back after a burst: each collection
	// halves the stacks that were needed for logins.
	rounds = 3

	// garbage is how much may gather before it is collected, where little is in use:
	// by its own measure Go's runtime would collect the packets of a copy two hundred
	// times a GB, where they come out of no pool, as by other ciphers than AES-GCM,
	// which cost a third of the gateway's time. memoryShare bounds it to
	// that part of the memory limit.
	garbage     = 32 << 20
	memoryShare = 16

	// copyBytes is what is allocated in a second of copies, and not of logins: what they
	// leave would lie among more garbage, and hold more memory.
	copyBytes = 64 << 20

	// defaultPercent is Go's own measure: as much garbage as there is in use.
	defaultPercent = 100
)

// Spare gives memory back to the system when the process has become quiet. Go's
// runtime by itself keeps as much garbage as there is memory in use, and looks at
// it once in two minutes when nothing is allocated.
type Spare struct {
	used       func() usage
	giveBack   func()
	setPercent func(int) // nil where GOGC sets it
	garbage    uint64    // bytes

	last  uint64 // bytes allocated until the last look
	quiet int    // looks in a row
	left  int    // rounds
	since uint64 // bytes allocated since memory was given back

	percent int // that is set; 0 at the start
}

// usage is what the runtime knows of memory, in bytes.
type usage struct {
	allocated uint64 // since the start
	held      uint64 // of the system's
	live      uint64 // found in use by the last collection
}

// NewSpare is for a process with a memory limit in bytes.
func NewSpare(limit uint64) *Spare {
	s := &Spare{used: used, giveBack: debug.FreeOSMemory, garbage: min(garbage, limit/memoryShare)}
	if os.Getenv("GOGC") == "" {
		s.setPercent = func(percent int) { debug.SetGCPercent(percent) }
	}
	return s
}

// GiveBack looks until ctx ends.
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

// Look is called once in LookEvery.
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

// allowGarbage sets how much garbage there may be, in percent of what is in use, by
// whether the last second was one of copies. As
// setting it stops the gateway for a moment, little changes are none.
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
