package gateway

import "time"

// DefaultKeepalive finds a peer that has vanished within 90 seconds.
const DefaultKeepalive = 30 * time.Second

// missedKeepalives is how many unanswered intervals make a peer vanished.
const missedKeepalives = 3

// keepAlive asks a silent peer for a sign of life, as sshd's
// ClientAliveInterval does, and cuts the connection of one that gives none:
// its forwards are freed, its terminals hung up. Each of the two connections
// that are joined has its own. It returns when ended is closed.
func (c *conn) keepAlive(e end, who string, ended <-chan struct{}) {
	interval := c.server.Keepalive
	if interval <= 0 {
		return
	}
	answered := make(chan struct{}, 1)
	answered <- struct{}{}
	for {
		select {
		case <-ended:
			return
		case <-time.After(max(interval-e.wire.Silence(), interval/8)):
		}
		silence := e.wire.Silence()
		switch {
		case silence >= missedKeepalives*interval:
			c.log.Warn("gives no sign of life", "who", who, "for", silence.Round(time.Second))
			e.wire.Conn.Close()
			return
		case silence < interval:
			continue
		}
		select {
		case <-answered:
			c.tasks.Go(func() { // any answer will do, and so will the connection's end
				e.SendRequest("keepalive@openssh.com", true, nil)
				answered <- struct{}{}
			})
		default: // the last one is still on its way
		}
	}
}
