package gateway

import (
	"sync"
	"time"
)

// DefaultKeepalive is short enough to notice within 90 seconds that a peer has
// vanished.
const DefaultKeepalive = 30 * time.Second

// missedKeepalives is how many intervals a peer may leave unanswered.
const missedKeepalives = 3

// keepalive asks one peer for signs of life. It is a timer and not a goroutine, which
// would cost every idle connection a stack.
type keepalive struct {
	conn     *conn
	peer     end
	who      string
	interval time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	asking  bool // an answer has not come yet
	stopped bool
}

// keepAlive asks a silent peer for a sign of life, as sshd's ClientAliveInterval
// does. It cuts the connection of a peer that does not answer: its forwards are freed
// and its terminals hung up. Of two joined connections each has its own. After stop
// has returned, nothing new is started.
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

// pause returns how long the peer may stay silent from now on.
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

// ask returns when the peer has answered or the connection has ended. Any answer
// counts, also a failure.
func (k *keepalive) ask() {
	k.peer.SendRequest("keepalive@openssh.com", true, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asking = false
}
