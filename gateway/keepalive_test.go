package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-ssh/berth/sshconn"
	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
)

// asked is a connection whose peer is asked for signs of life.
type asked struct {
	ssh.Conn
	times  atomic.Int32
	answer func() error
}

func (a *asked) SendRequest(name string, wantReply bool, _ []byte) (bool, []byte, error) {
	if name == "keepalive@openssh.com" && wantReply {
		a.times.Add(1)
	}
	return false, nil, a.answer()
}

func keptAlive(t *testing.T, answer func(peer net.Conn, cut <-chan struct{}) error, try func(a *asked, peer net.Conn, cut <-chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		w := new(wire.Pool).New(ours)
		c := &conn{server: &Server{Keepalive: 30 * time.Second}, log: slog.New(slog.DiscardHandler), tasks: &sshconn.Tasks{}}
		cut := make(chan struct{})
		a := &asked{answer: func() error { return answer(peer, cut) }}
		go func() { // as x/crypto does
			defer close(cut)
			io.Copy(io.Discard, w)
		}()
		stop := c.keepAlive(end{Conn: sshconn.Conn{Conn: a}, wire: w}, "client")
		try(a, peer, cut)
		stop()
		peer.Close()
		w.Close()
		<-cut
	})
}

// A laptop is closed or a cable is pulled: no packet tells.
func TestAPeerThatVanishesIsNoticedWithin90Seconds(t *testing.T) {
	silent := func(_ net.Conn, cut <-chan struct{}) error {
		<-cut
		return errors.New("gone")
	}
	keptAlive(t, silent, func(a *asked, _ net.Conn, cut <-chan struct{}) {
		began := time.Now()
		<-cut
		if took := time.Since(began); took > 91*time.Second || a.times.Load() != 1 {
			t.Errorf("cut after %v, asked %d times", took, a.times.Load())
		}
	})
}

func TestAPeerThatAnswersIsKept(t *testing.T) {
	keptAlive(t, func(peer net.Conn, _ <-chan struct{}) error {
		_, err := peer.Write([]byte("an answer"))
		return err
	}, func(a *asked, _ net.Conn, cut <-chan struct{}) {
		select {
		case <-cut:
			t.Error("cut although it answers")
		case <-time.After(time.Hour):
		}
		if times := a.times.Load(); times < 100 || times > 121 {
			t.Errorf("asked %d times in an hour", times)
		}
	})
}

func TestAPeerThatTalksIsNotAsked(t *testing.T) {
	keptAlive(t, func(net.Conn, <-chan struct{}) error { return nil }, func(a *asked, peer net.Conn, cut <-chan struct{}) {
		for range 100 {
			peer.Write([]byte("x"))
			time.Sleep(10 * time.Second)
		}
		if times := a.times.Load(); times != 0 {
			t.Errorf("asked %d times", times)
		}
	})
}
