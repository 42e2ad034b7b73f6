package gateway

import (
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// Memory that Go's runtime keeps of very many connections is given back by ending
// their process. This must end nobody's connection, and forget no failure that slows
// its source down.
func TestWhoKeepsMemoryOfManyIsSpentOnceNobodyIsThere(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	seen := &held{memory: 20 << 20}
	w := &watchdog{server: g.Server, limit: 1 << 40, hold: func() held { return *seen }, explained: func() int { return 0 }, atStart: seen.memory, interrupt: interrupting(g.listener)}
	look := func(times int) {
		for range times {
			w.look()
		}
	}
	client := g.enter(t, "dev+lab")
	seen.memory += keptBytes
	look(2 * idleLooks)
	w.interrupt() // as if somebody had connected after the last look
	g.enter(t, "dev+lab").Close()
	for len(g.Penalties()) == 0 {
		if _, err := g.dial("nobody+lab", nil, ssh.Password("wrong")); err == nil {
			t.Fatal("a wrong password logs in")
		}
	}
	client.Close()
	harness.Eventually(t, "nobody is served", func() bool { return g.serving.left() == 0 })
	look(2 * idleLooks)
	select {
	case <-g.stopped:
		t.Fatal("failures were forgotten")
	default:
	}
}

func TestAServerThatIsSpentSaysSo(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	seen := &held{memory: 20 << 20}
	w := &watchdog{server: g.Server, limit: 1 << 40, hold: func() held { return *seen }, explained: func() int { return 0 }, atStart: seen.memory, interrupt: interrupting(g.listener)}
	g.enter(t, "dev+lab").Close()
	harness.Eventually(t, "nobody is served", func() bool { return g.serving.left() == 0 })
	seen.memory += keptBytes
	for range idleLooks - 1 {
		w.look()
	}
	select {
	case <-g.stopped:
		t.Fatal("spent after fewer looks, while memory is still given back")
	default:
	}
	w.look()
	within(t, "the server is spent", g.stopped)
	if !errors.Is(g.served, ErrSpent) {
		t.Errorf("served until: %v", g.served)
	}
}
