package gateway

import (
	"sync"
	"time"
)

// DefaultKeepalive finds a peer that has vanished within 90 seconds.
const DefaultKeepalive = 30 * time.Second

// missedKeepalives is how many unanswered intervals make a peer vanished.
const missedKeepalives = 3

// keepalive is what asks one peer for signs of life. It is a timer rather than
// a goroutine, which would cost every idle connection a stack.
type keepalive struct {
	conn     *conn
	peer     end
	who      string
	interval time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	asking  bool // an answer is still to come
	stopped bool
}

// keepAlive asks a silent peer for a sign of life, as sshd's
// ClientAliveInterval does, and cuts the connection of one that gives none:
// its forwards are freed, its terminals hung up. Each of the two connections
// that are joined has its own. When stop has returned it starts nothing more.
func (c *conn) keepAlive(peer end, who string) (stop func()) {
	interval := c.server.Keepalive
	if interval <= 0 {
		return func() {}
	}
	k := &keepalive{conn: c, peer: peer, who: who, interval: interval}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(k.pause(), k.look)
	return k.stop
}

// pause is how long the peer may go on as it is.
func (k *keepalive) pause() time.Duration {
	return max(k.interval-k.peer.wire.Silence(), k.interval/8)
}

func (k *keepalive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.timer.Stop()
}

func (k *keepalive) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	silence := k.peer.wire.Silence()
	if silence >= missedKeepalives*k.interval {
		k.conn.log.Warn("gives no sign of life", "who", k.who, "for", silence.Round(time.Second))
		k.peer.wire.Conn.Close()
		return
	}
	if silence >= k.interval && !k.asking {
		k.asking = true
		k.conn.tasks.Go(k.ask)
	}
	k.timer.Reset(k.pause())
}

// ask returns when the peer has answered: any answer will do, and so will the
// connection's end.
func (k *keepalive) ask() {
	k.peer.SendRequest("keepalive@openssh.com", true, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asking = false
}
