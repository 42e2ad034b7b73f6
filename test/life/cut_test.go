package life

import (
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// cutAtRandom makes connections of every kind to a door and cuts each after
// some number of bytes, be that in its handshake or in the middle of its data.
func cutAtRandom(t *testing.T, to harness.Target, count int) {
	t.Helper()
	kinds := connectionKinds(t, to)
	var next, reached atomic.Int32
	var workers sync.WaitGroup
	for range 6 {
		workers.Go(func() {
			for i := int(next.Add(1)); i <= count; i = int(next.Add(1)) {
				kind := kinds[i%len(kinds)]
				if cutOne(t, to, kind) {
					reached.Add(1)
				}
			}
		})
	}
	workers.Wait()
	if int(reached.Load()) < count/3 {
		t.Errorf("of %d connections only %d were logged in", count, reached.Load())
	}
}

// cutOne uses a connection until it is cut or was used often, and says whether
// it was ever logged in.
func cutOne(t *testing.T, to harness.Target, kind connectionKind) bool {
	raw, err := net.Dial("tcp", to.Address)
	if err != nil {
		t.Error(err)
		return false
	}
	defer raw.Close()
	deadline := time.Now().Add(3 * harness.Patience)
	raw.SetDeadline(deadline)
	client, err := to.LogIn(t, &cut{Conn: raw, left: randomSize()})
	if err != nil {
		return false
	}
	defer client.Close()
	for i := 0; err == nil && i < 10; i++ {
		err = kind.use(client)
	}
	raw.Close()
	client.Wait()
	if time.Now().After(deadline) {
		t.Errorf("%s: stalled, then %v", kind.name, err)
	}
	return true
}

// randomSize is of any order of magnitude between a few packets and a megabyte.
func randomSize() int64 {
	const least, most = 256, 1 << 20
	return int64(least * math.Pow(most/least, rand.Float64()))
}

// cut is a connection that breaks when so many bytes have gone either way.
type cut struct {
	net.Conn
	mu   sync.Mutex
	left int64
}

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.spend(n) < n {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *cut) Write(p []byte) (int, error) {
	n := c.spend(len(p))
	if n == len(p) {
		return c.Conn.Write(p)
	}
	c.Conn.Write(p[:n]) // half a packet
	c.breakOff()
	return 0, io.ErrUnexpectedEOF
}

// spend says how many of n bytes may still go.
func (c *cut) spend(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = int(min(int64(n), c.left))
	c.left -= int64(n)
	return n
}

// breakOff ends the connection with a FIN or, as a crash does, with a RST.
func (c *cut) breakOff() {
	if rand.IntN(2) == 0 {
		c.Conn.(*net.TCPConn).SetLinger(0)
	}
	c.Conn.Close()
}
