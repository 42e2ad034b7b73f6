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

// Limits of the watchdog. They leave room: a small leak is not worth a false alarm.
const (
	// How many goroutines a connection may have besides its tasks, such as x/crypto's
	// and those of its wires; and how many everything else may have.
	goroutinesEach  = 32
	goroutinesOther = 1000

	// Fractions of the memory limit. From shutAt on, strangers are not let in. From
	// endAt on, people's connections are ended.
	shutAt = 0.85
	endAt  = 0.95
)

var errShed = errors.New("the gateway is short of memory; try again in a moment")

// held is what the process holds at one moment.
type held struct {
	goroutines int
	memory     uint64 // bytes from the system, without those given back
}

// watchdog compares what the process holds with what its connections explain. It logs
// a leak, and when memory is short it ends some connections before the system kills
// the process and so ends all of them.
type watchdog struct {
	server    *Server
	limit     uint64 // bytes
	hold      func() held
	explained func() int // goroutines that the connections explain
	told      int        // goroutines when this was last logged
	short     bool       // memory is short
	atStart   uint64     // bytes that were held at the start
	idle      int        // looks in a row that found nobody served and much memory held
	interrupt func()     // interrupts Accept; nil if the listener cannot be interrupted
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

// lookAtGoroutines logs when there are more goroutines than connections explain, and
// again when they have doubled.
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

// lookAtMemory ends connections when memory is short: first the newest strangers,
// then the newest connection of a person, one at each look.
func (w *watchdog) lookAtMemory(now held) {
	part := float64(now.memory) / float64(w.limit)
	if part >= shutAt {
		debug.FreeOSMemory() // garbage is no reason to end a connection
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

// goroutines returns the number of goroutines that the connections explain.
func (s *served) goroutines() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		n += goroutinesEach + 2*int(c.running.Load())
	}
	return n
}

// holds returns what this process holds now.
func holds() held {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return held{runtime.NumGoroutine(), samples[0].Value.Uint64() - samples[1].Value.Uint64()}
}
