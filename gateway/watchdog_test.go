package gateway

import (
	"strings"
	"testing"

	"github.com/berth-ssh/berth/memory"
	"github.com/berth-ssh/berth/test/harness"
)

// watched returns a gateway with one live connection and two strangers, its watchdog,
// and the values that the watchdog sees.
func watched(t *testing.T) (*testGateway, *watchdog, *held) {
	t.Helper()
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	startWaiting(t, g.enter(t, "dev+lab"))
	for range 2 {
		g.comeFrom(t, "127.0.0.1")
	}
	seen := &held{goroutines: 100}
	return g, &watchdog{server: g.Server, limit: 1000, hold: func() held { return *seen }, explained: func() int { return 0 }}, seen
}

func (g *testGateway) strangersInside() int {
	inside, _ := g.door.Inside()
	return inside
}

// The attack: anything that makes the gateway hold more and more memory. It must end
// connections before the system kills it and ends all of them.
func TestTheWatchdogShedsBeforeMemoryEnds(t *testing.T) {
	g, w, seen := watched(t)
	seen.memory = 840
	w.look()
	if g.strangersInside() != 2 || len(g.Live()) != 1 {
		t.Fatalf("below the limit: %d strangers, %d live", g.strangersInside(), len(g.Live()))
	}
	seen.memory = 860
	w.look()
	if g.strangersInside() != 1 {
		t.Errorf("%d strangers, want half of 2", g.strangersInside())
	}
	if _, err := g.dial("dev+lab", nil); err == nil || !strings.Contains(err.Error(), "the gateway is short of memory") {
		t.Errorf("who comes now sees: %v", err)
	}
	w.look()
	w.look()
	if len(g.Live()) != 1 || g.strangersInside() != 0 {
		t.Errorf("%d live, %d strangers", len(g.Live()), g.strangersInside())
	}
	seen.memory = 960
	w.look()
	harness.Eventually(t, "the live connection is ended", func() bool { return len(g.Live()) == 0 })
	seen.memory = 500
	w.look()
	runs := g.enter(t, "dev+lab")
	runs.Close()
	for _, line := range []string{"memory is short: strangers are not let in", "msg=memory short=false memory=500", "memory=960 limit=1000"} {
		if !strings.Contains(g.log.String(), line) {
			t.Errorf("the log does not tell: %s", line)
		}
	}
}

func TestTheWatchdogTellsOfALeak(t *testing.T) {
	g, w, seen := watched(t)
	told := func() int { return strings.Count(g.log.String(), "something leaks") }
	w.explained = func() int { return 500 }
	for _, step := range []struct{ goroutines, told int }{{1500, 0}, {1501, 1}, {2900, 1}, {3002, 2}, {100, 2}, {1501, 3}} {
		seen.goroutines = step.goroutines
		if w.look(); told() != step.told {
			t.Errorf("at %d goroutines: told %d times, want %d", step.goroutines, told(), step.told)
		}
	}
}

// A connection explains the goroutines of its sessions, and none when it is gone.
func TestConnectionsExplainTheirGoroutines(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	client := g.enter(t, "dev+lab")
	for range 10 {
		startWaiting(t, client)
	}
	if now := holds(); now.memory < 1<<20 || now.memory > memory.Limit() || now.goroutines > g.serving.goroutines()+goroutinesOther {
		t.Errorf("holds %+v of %d, explained %d", now, memory.Limit(), g.serving.goroutines())
	}
	if explained := g.serving.goroutines(); explained < goroutinesEach+2*20 {
		t.Errorf("10 sessions explain %d goroutines", explained)
	}
	client.Close()
	harness.Eventually(t, "nothing is explained", func() bool { return g.serving.goroutines() == 0 })
}

// Each goroutine costs an idle connection 4 KiB. A session has one for requests, one
// for input, and two for output. A gate, a recorder and a watcher add none.
func TestASessionHasNoGoroutinesThatFilter(t *testing.T) {
	g, _, _ := auditedGateway(t, atMachine(newFakeMachine(waits)), "")
	client := g.enter(t, "dev+lab")
	for range 10 {
		startWaiting(t, client)
	}
	harness.Eventually(t, "no more than four goroutines for each session", func() bool {
		g.serving.mu.Lock()
		defer g.serving.mu.Unlock()
		for c := range g.serving.all {
			return c.running.Load() <= 4*10
		}
		return false
	})
}
