package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/gate"
)

// take counts a connection of a person until giveBack is called. It fails if the
// person has too many.
func (c *conn) take(person string, limits auth.Limits) (giveBack func(), err error) {
	key := gate.Key{What: "connections", Person: person}
	if !c.server.counts.Take(key, limits.Connections) {
		return nil, fmt.Errorf("%s has %d connections already, and may have no more", person, limits.Connections)
	}
	return func() { c.server.counts.GiveBack(key) }, nil
}

// limitTime ends the connection when its time is over. It does nothing once ctx has
// ended.
func (c *conn) limitTime(ctx context.Context, limits auth.Limits) {
	if limits.Total == 0 {
		return
	}
	timer := time.AfterFunc(limits.Total, func() {
		c.server.End(c.id, fmt.Sprintf("it has lasted %v, as long as it may", limits.Total))
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// limitIdle ends the connection when its channels have been silent for too long. Data
// in either direction and new channels count as activity, keepalives do not. It does
// nothing once ctx has ended.
func (c *conn) limitIdle(ctx context.Context, limits auth.Limits) {
	if limits.Idle == 0 {
		return
	}
	c.activity.touch()
	c.tasks.Go(func() {
		if c.activity.awaitSilence(ctx, limits.Idle) {
			c.server.End(c.id, fmt.Sprintf("nothing was sent for %v, as long as it may be idle", limits.Idle))
		}
	})
}
