package gateway

import (
	"context"
	"errors"
	"net"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/berth-ssh/berth/memory"
)

// How the watchdog judges. A leak that is still small is not worth a false alarm.
const (
	// Goroutines that a connection may have beside its tasks, those of x/crypto
	// and of its wires among them; and those of all else.
	goroutinesEach  = 32
	goroutinesOther = 1000

	// Parts of the memory limit: from the first on no stranger is let in, and from
	// the second on people's connections are ended.
	shutAt = 0.85
	endAt  = 0.95
)

var errShed = errors.New("the gateway is short of memory; try again in a moment")

// held is what the process holds.
type held struct {
	goroutines int
	memory     uint64 // bytes of the system's, without what was given back
}

// watchdog compares what the process holds with what its connections explain, so
// that the next fault that leaks is seen in the log, and that the gateway gives
// connections up before the system ends it with all of them.
type watchdog struct {
	server    *Server
	limit     uint64 // bytes
	hold      func() held
	explained func() int // goroutines
	told      int        // goroutines, when they were last told
	short     bool       // of memory
	atStart   uint64     // bytes that were held
	idle      int        // looks in a row that found nobody and much memory
	interrupt func()     // the accepting; nil where that cannot be interrupted
}

// watch looks once a second until ctx ends.
func (s *Server) watch(ctx context.Context, listener net.Listener) {
	w := &watchdog{server: s, limit: memory.Limit(), hold: holds, explained: s.serving.goroutines, atStart: holds().memory, interrupt: interrupting(listener)}
	unused := memory.NewSpare(w.limit)
	ticker := time.NewTicker(memory.LookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.look()
			unused.Look()
		}
	}
}

func (w *watchdog) look() {
	now := w.hold()
	w.lookAtGoroutines(now)
	w.lookAtMemory(now)
	w.lookAtIdle(now)
}

// lookAtGoroutines tells of more goroutines than connections explain, and again
// when they have doubled.
func (w *watchdog) lookAtGoroutines(now held) {
	explained := w.explained() + goroutinesOther
	if now.goroutines <= explained {
		w.told = 0
		return
	}
	if now.goroutines < 2*w.told {
		return
	}
	w.told = now.goroutines
	w.server.Log.Error("more goroutines than connections explain: something leaks", "goroutines", now.goroutines,
		"explained", explained, "memory", now.memory)
}

// lookAtMemory gives connections up where memory is short: the newest strangers
// first, and then the newest connection of a person, one at a time.
func (w *watchdog) lookAtMemory(now held) {
	part := float64(now.memory) / float64(w.limit)
	if part >= shutAt {
		debug.FreeOSMemory() // what is garbage is no reason to end anything
		now = w.hold()
		part = float64(now.memory) / float64(w.limit)
	}
	if short := part >= shutAt; short != w.short {
		w.short = short
		w.server.door.Shut(short)
		w.server.Log.Info("memory", "short", short, "memory", now.memory, "limit", w.limit)
	}
	if !w.short {
		return
	}
	shed, ended := w.server.door.Shed(errShed), ""
	if live := w.server.Live(); shed == 0 && part >= endAt && len(live) > 0 {
		ended = live[len(live)-1].ID
		w.server.End(ended, "the gateway is short of memory")
	}
	w.server.Log.Error("memory is short: strangers are not let in", "memory", now.memory, "limit", w.limit, "goroutines", now.goroutines,
		"explained", w.explained()+goroutinesOther, "strangers_sent_away", shed, "ended", ended)
}

// goroutines is the number of goroutines that the connections explain.
func (s *served) goroutines() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		n += goroutinesEach + 2*int(c.running.Load())
	}
	return n
}

// holds is what this process holds now.
func holds() held {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return held{runtime.NumGoroutine(), samples[0].Value.Uint64() - samples[1].Value.Uint64()}
}
