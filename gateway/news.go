package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/berth-ssh/berth/hosts"
)

// maxRemembered is of how many people and hosts it is remembered what people know.
// Beyond that it is forgotten, and they are told nothing.
const maxRemembered = 100_000

// news is until when each person knows what became of each host, while the gateway runs.
type news struct {
	mu    sync.Mutex
	known map[personAt]time.Time
}

type personAt struct{ person, host string }

// enters notes that a person comes to a host, and returns until when the person knows
// what became of it: from the first visit on, or from the last one at a terminal.
func (n *news) enters(who personAt) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	known, ok := n.known[who]
	if ok {
		return known
	}
	if n.known == nil || len(n.known) >= maxRemembered {
		n.known = map[personAt]time.Time{}
	}
	now := time.Now()
	n.known[who] = now
	return now
}

// isTold notes that a person knows all until now. It reports false where the person
// was told meanwhile, by another connection.
func (n *news) isTold(who personAt, knew time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.known[who].Equal(knew) {
		return false
	}
	n.known[who] = time.Now()
	return true
}

// notice returns what the person is to be told at a terminal: that the host's run in
// which the person was last is over, and why; nil where there is no such news.
func (c *conn) notice(to target, before hosts.Before) func() []string {
	who := personAt{to.person, to.Host}
	knew := c.server.news.enters(who)
	if !before.Ended.After(knew) {
		return nil
	}
	return func() []string {
		if !c.server.news.isTold(who, knew) {
			return nil
		}
		why := "nobody knows any more why it had ended"
		if known := before.Why(context.Background()); known != "" {
			why = known
		}
		return []string{fmt.Sprintf("berth: host %q was started again at %s: %s", to.Host, before.Since.Local().Format("15:04 on 2 January"), why)}
	}
}
