package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/berth-ssh/berth/hosts"
)

// maxRemembered is the number of pairs of person and host for which news remembers a
// time. When there are more, it forgets all of them, and these people miss a notice.
const maxRemembered = 100_000

// news holds, for each person and host, the time up to which the person knows whether
// that host has ended. It is kept only in memory.
type news struct {
	mu    sync.Mutex
	known map[personAt]time.Time
}

type personAt struct{ person, host string }

// enters records that a person enters a host. It returns the time up to which the
// person knows what happened to the host: the time of the first visit, or of the last
// notice.
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

// isTold records that the person now knows everything. It returns false if another
// connection has told the person since knew was returned.
func (n *news) isTold(who personAt, knew time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.known[who].Equal(knew) {
		return false
	}
	n.known[who] = time.Now()
	return true
}

// notice returns a function that makes the lines for a person's terminal: that the
// host has ended and was started again since the person last knew of it, and why. It
// returns nil if it has not.
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
