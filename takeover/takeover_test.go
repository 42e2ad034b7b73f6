package takeover

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// offer is a gateway with its listener; stepped counts how often it stepped aside.
func offer(t *testing.T, dir string) (o *Offer, listener *net.TCPListener, stepped *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, stepped = l.(*net.TCPListener), &atomic.Int32{}
	o, err = NewOffer(dir, listener, func() {
		stepped.Add(1)
		listener.Close()
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.Close()
		listener.Close()
	})
	return o, listener, stepped
}

// shortDir is a directory whose sockets' paths are not too long.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "takeover-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func take(t *testing.T, dir string) *Former {
	t.Helper()
	place, err := Take(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(place.Close)
	return place
}

// reaches wants one who connects to come to this listener.
func reaches(t *testing.T, listener *net.TCPListener) {
	t.Helper()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
}

func TestThePlaceIsPassedOn(t *testing.T) {
	dir := shortDir(t)
	o, former, stepped := offer(t, dir)
	place := take(t, dir)
	if place.Listener == nil || place.Listener.Addr().String() != former.Addr().String() {
		t.Fatalf("got %v", place.Listener)
	}
	defer place.Listener.Close()
	reaches(t, former)
	waiting, err := net.Dial("tcp", former.Addr().String()) // whom the former one does not accept any more
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if err := place.StepAside(); err != nil || stepped.Load() != 1 {
		t.Errorf("%v, stepped aside %d times", err, stepped.Load())
	}
	accepted, err := place.Listener.Accept()
	if err != nil || accepted.RemoteAddr().String() != waiting.LocalAddr().String() {
		t.Fatalf("who waited is not accepted: %v", err)
	}
	accepted.Close()
	if _, err := former.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the former one: %v", err)
	}
	reaches(t, place.Listener)
	next, err := NewOffer(dir, place.Listener, func() {}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal("the next one has no place to offer: ", err)
	}
	next.Close()
	select {
	case <-o.Taken():
		t.Error("it says that it is replaced, and nobody reaches the next one yet")
	default:
	}
	place.Close()
	<-o.Taken()
}

// A gateway that fails before it is ready leaves everything as it was.
func TestWhoIsNotReadyTakesNothing(t *testing.T) {
	dir := shortDir(t)
	_, former, stepped := offer(t, dir)
	fails := take(t, dir)
	fails.Listener.Close()
	fails.Close()
	reaches(t, former)
	again := take(t, dir)
	defer again.Listener.Close()
	if stepped.Load() != 0 {
		t.Error("it stepped aside for nobody")
	}
	if err := again.StepAside(); err != nil {
		t.Error(err)
	}
}

func TestAPlaceWithoutASocket(t *testing.T) {
	dir := shortDir(t)
	if place := take(t, dir); place.Listener != nil || place.StepAside() != nil {
		t.Errorf("where nobody is: %+v", place)
	}
	o, _, stepped := offer(t, dir)
	o.GiveUp()
	if place := take(t, dir); place.Listener != nil || place.StepAside() != nil || stepped.Load() != 1 {
		t.Errorf("of one that listens no more: %+v, stepped aside %d times", place, stepped.Load())
	}
}

// The attack: an account of this machine takes the gateway's port.
func TestOnlyTheOwnerReachesThePlace(t *testing.T) {
	dir := shortDir(t)
	offer(t, dir)
	info, err := os.Stat(socketIn(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestRubbishTakesNothing(t *testing.T) {
	dir := shortDir(t)
	_, former, stepped := offer(t, dir)
	conn, err := net.Dial("unix", socketIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "x")
	io.Copy(io.Discard, conn)
	conn.Close()
	if reaches(t, former); stepped.Load() != 0 {
		t.Error("it stepped aside")
	}
}
