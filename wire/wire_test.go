package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// unreadWire returns a Conn whose peer reads nothing: an unread net.Pipe takes no
// byte.
func unreadWire(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	return new(Pool).New(ours), theirs
}

func TestWritesDoNotWaitForThePeer(t *testing.T) {
	w, peer := unreadWire(t)
	for range 100 {
		if _, err := w.Write(make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
	}
	peer.Close()
	w.Close()
}

func TestEverythingIsWrittenInOrderAndFlushedByClose(t *testing.T) {
	w, peer := unreadWire(t)
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(peer)
		got <- all
	}()
	var want bytes.Buffer
	for i := range 1000 {
		packet := bytes.Repeat([]byte{byte(i)}, i)
		want.Write(packet)
		w.Write(packet)
	}
	w.Close()
	if !bytes.Equal(<-got, want.Bytes()) {
		t.Error("other bytes arrived than were written")
	}
	if _, err := w.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
}

func TestReadyFollowsThePeersPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, peer := unreadWire(t)
		w.Write(make([]byte, 10)) // flush holds it
		synctest.Wait()
		w.Write(make([]byte, highWater+1))
		ready := make(chan struct{})
		go func() {
			w.Ready()
			close(ready)
		}()
		synctest.Wait()
		select {
		case <-ready:
			t.Fatal("ready although the peer takes nothing")
		default:
		}
		go io.Copy(io.Discard, peer)
		<-ready
		w.Close()
		peer.Close()
	})
}

// The attack: a client sends requests for ever and never reads an answer. It is cut
// off, and costs a bounded amount of memory until then.
func TestAPeerThatNeverReadsIsCutOff(t *testing.T) {
	w, peer := unreadWire(t)
	defer peer.Close()
	var err error
	for range 3 * maxQueued >> 20 { // flush may hold one more queue
		if _, err = w.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	if !errors.Is(err, errNotReading) {
		t.Errorf("got %v, want %v", err, errNotReading)
	}
	w.Ready() // does not wait for a connection that has failed
	w.Conn.Close()
	w.Close()
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, peer := unreadWire(t)
		defer peer.Close()
		w.Write([]byte("never read"))
		began := time.Now()
		w.Close()
		if waited := time.Since(began); waited > flushTimeout {
			t.Errorf("waited %v", waited)
		}
	})
}

// A packet that was taken over is written in its turn, and given back once, after it
// is written.
func TestWholePacketsAreWrittenInTurnAndGivenBack(t *testing.T) {
	ours, theirs := tcpPair(t)
	w := new(Pool).New(ours)
	var want bytes.Buffer
	given := make(chan []byte, 1000)
	for i := range 100 {
		packet := bytes.Repeat([]byte{byte(i)}, i*100)
		want.Write(packet)
		if i%3 == 0 {
			w.Write(packet)
			continue
		}
		w.WriteWhole(packet, func(packet []byte) {
			clear(packet)
			given <- packet
		})
	}
	got := make([]byte, want.Len())
	if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("other bytes arrived than were written: %v", err)
	}
	w.Close()
	if len(given) != 66 {
		t.Errorf("%d packets were given back, not 66", len(given))
	}
	if _, err := w.WriteWhole([]byte("late"), func([]byte) { t.Error("what was not written is given back") }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
}
