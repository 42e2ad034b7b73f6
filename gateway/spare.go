package gateway

import (
	"runtime/debug"
	"runtime/metrics"
)

// How memory is given back.
const (
	// quietBytes is less than a gateway allocates in a second that copies, and
	// more than one with thousands of connections that only live.
	quietBytes = 4 << 20

	// quietLooks is how many looks in a row must be quiet.
	quietLooks = 2

	// spareShare: where less than this share of what is held may be garbage,
	// collecting it is not worth its time.
	spareShare = 8

	// rounds is how often memory is given back after a burst: each collection
	// halves the stacks that were needed for logins.
	rounds = 3
)

// spare gives memory back to the system when the gateway has become quiet. Go's
// runtime by itself keeps as much garbage as there is memory in use, and looks at
// it once in two minutes when nothing is allocated.
type spare struct {
	used     func() usage
	giveBack func()

	last  uint64 // bytes allocated until the last look
	quiet int    // looks in a row
	left  int    // rounds
	since uint64 // bytes allocated since memory was given back
}

// usage is what the runtime knows of memory, in bytes.
type usage struct {
	allocated uint64 // since the start
	held      uint64 // of the system's
}

func newSpare() *spare { return &spare{used: used, giveBack: debug.FreeOSMemory} }

// look is called once a second.
func (s *spare) look() {
	now := s.used()
	allocated := now.allocated - s.last
	s.last = now.allocated
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

func used() usage {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return usage{samples[0].Value.Uint64(), samples[1].Value.Uint64() - samples[2].Value.Uint64()}
}
