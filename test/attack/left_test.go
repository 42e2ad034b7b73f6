package attack

import (
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/peer"
)

// awaitNobody waits until a gateway serves no connection, and returns what it
// holds then.
func awaitNobody(t *testing.T, g *harness.Gateway) (now harness.Held) {
	t.Helper()
	harness.Eventually(t, "the gateway's connections end", func() bool {
		now = g.Holds(t)
		return now.Connections == 0
	})
	return now
}

// wantNothingLeft wants a gateway to hold what it held before: no connection, no
// goroutine more, and at most 5 MiB more.
func wantNothingLeft(t *testing.T, g *harness.Gateway, before harness.Held) {
	t.Helper()
	now := g.Holds(t)
	defer func() { t.Logf("before: %v; after: %v", before, now) }()
	harness.Eventually(t, "the gateway's connections end, and their goroutines", func() bool {
		now = g.Holds(t)
		return now.Connections == 0 && now.Goroutines <= before.Goroutines
	})
	if grown := now.Memory - before.Memory; grown > 5<<20 {
		t.Errorf("%.1f MiB are left behind", float64(grown)/(1<<20))
	}
}

// The attack: connections that end with more packets unread than there is room
// for. Each left two goroutines before the login and four after it, for ever, with
// what they hold; 3,000 and 1,000 of them in make soak.
func TestHostileConnectionsLeaveNothing(t *testing.T) {
	const unread = 60
	strangers, users := 300, 100
	if harness.Soaking() {
		strangers, users = 3000, 1000
	}
	for _, attack := range []struct {
		name  string
		peers int
		send  func(*peer.Peer) error
	}{
		{"a_stranger_asks_for_nonsense", strangers, func(p *peer.Peer) error {
			for range 1 + unread {
				p.Send(peer.MsgServiceRequest, "nonsense")
			}
			return p.Flush()
		}},
		{"a_user_names_a_channel_that_is_not_there", users, func(p *peer.Peer) error {
			if err := p.Login("alice+a", alicePassword); err != nil {
				return err
			}
			for range 1 + unread {
				p.Send(peer.MsgChannelData, peer.UnknownChannel, "x")
			}
			return p.Flush()
		}},
	} {
		t.Run(attack.name, func(t *testing.T) {
			g := startCheap(t)
			peer.Repeat(t, g.Address, 100, attack.send) // what the gateway allocates once
			before := awaitNobody(t, g)
			peer.Repeat(t, g.Address, attack.peers, attack.send)
			t.Logf("%d connections", attack.peers)
			wantNothingLeft(t, g, before)
		})
	}
}
