package harness

import (
	"net"
	"testing"
	"time"
)

// SlowLink is a link with little bandwidth and a long delay.
type SlowLink struct {
	Rate  int           // bytes per second, in each direction
	Delay time.Duration // in each direction
}

// Far returns a link across a continent.
func Far() SlowLink { return SlowLink{Rate: 5 << 20, Delay: 50 * time.Millisecond} }

const (
	linkPiece = 16 << 10 // bytes that are sent at once, at most
	linkQueue = 100 * time.Millisecond
	linkWay   = 1 << 16 // pieces that are on their way, at most
)

// Start listens at the returned address and forwards to another one through the link,
// until the test ends.
func (l SlowLink) Start(t *testing.T, to string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for near, err := listener.Accept(); err == nil; near, err = listener.Accept() {
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			t.Cleanup(func() {
				near.Close()
				far.Close()
			})
			go l.carry(far, near)
			go l.carry(near, far)
		}
	}()
	return listener.Addr().String()
}

// piece is data that arrives at a certain time.
type piece struct {
	data []byte
	due  time.Time
}

// carry carries one direction. Like a real link, its queue is limited: when it is
// full, the sender has to wait.
func (l SlowLink) carry(to, from net.Conn) {
	way := make(chan piece, linkWay)
	go func() {
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				from.Close()
			}
		}
		to.(*net.TCPConn).CloseWrite()
	}()
	defer close(way)
	free := time.Now() // when the link has sent everything so far
	for {
		time.Sleep(time.Until(free) - linkQueue)
		data := make([]byte, linkPiece)
		n, err := from.Read(data)
		if n > 0 {
			free = later(free, time.Now()).Add(time.Duration(n) * time.Second / time.Duration(l.Rate))
			way <- piece{data[:n], free.Add(l.Delay)}
		}
		if err != nil {
			return
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
