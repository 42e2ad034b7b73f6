package wire

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func tcpPair(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	theirs, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return ours, theirs
}

// held returns how many blocks a connection holds once its write queue is empty and
// its flush goroutine has ended.
func (w *Conn) held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing {
		w.changed.Wait()
	}
	blocks := len(w.queue)
	if w.reader.block != nil {
		blocks++
	}
	return blocks
}

// Buffers of a burst are given back as soon as it is over, in both directions.
func TestAnIdleConnectionHoldsNoBuffer(t *testing.T) {
	ours, theirs := tcpPair(t)
	w := new(Pool).New(ours)
	defer w.Close()
	burst := make([]byte, 4<<20)
	rand.Read(burst)
	go w.Write(burst)
	got := make([]byte, len(burst))
	if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, burst) {
		t.Fatalf("other bytes arrived than were written: %v", err)
	}
	go theirs.Write(burst)
	if _, err := io.ReadFull(w, got); err != nil || !bytes.Equal(got, burst) {
		t.Fatalf("other bytes were read than were sent: %v", err)
	}
	if held := w.held(); held != 0 {
		t.Errorf("holds %d blocks after a burst", held)
	}
	w.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // it waits in the kernel, without a buffer
	if _, err := w.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if held := w.held(); held != 0 {
		t.Errorf("holds %d blocks after it has waited", held)
	}
}

// A connection that wraps a socket, for example to count or to delay, is read by its
// own Read and not by the socket's.
func TestAWrappedSocketIsReadByItsOwnRead(t *testing.T) {
	ours, theirs := tcpPair(t)
	w := new(Pool).New(upperCase{ours.(*net.TCPConn)})
	defer w.Close()
	io.WriteString(theirs, "x")
	var got [1]byte
	if _, err := io.ReadFull(w, got[:]); err != nil || got[0] != 'X' {
		t.Errorf("read %q, %v", got, err)
	}
}

type upperCase struct{ *net.TCPConn }

func (u upperCase) Read(p []byte) (int, error) {
	n, err := u.TCPConn.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

// A connection with a method Socket is read and written by that socket: only a socket
// acknowledges at once and writes many blocks in one system call.
func TestAConnectionThatNamesItsSocketIsReadAndWrittenByIt(t *testing.T) {
	ours, theirs := tcpPair(t)
	w := new(Pool).New(named{ours})
	defer w.Close()
	go io.WriteString(theirs, "x")
	var got [1]byte
	if _, err := io.ReadFull(w, got[:]); err != nil || got[0] != 'x' || !w.reader.tcp {
		t.Errorf("read %q, %v, by the socket: %v", got, err, w.reader.tcp)
	}
	io.WriteString(w, "y")
	if _, err := io.ReadFull(theirs, got[:]); err != nil || got[0] != 'y' {
		t.Errorf("wrote %q, %v", got, err)
	}
}

// named says that its bytes are those of its socket. Its own Read and Write must not
// be used.
type named struct{ net.Conn }

func (n named) Socket() net.Conn          { return n.Conn }
func (n named) Read([]byte) (int, error)  { return 0, errors.New("read by itself") }
func (n named) Write([]byte) (int, error) { return 0, errors.New("written by itself") }

// Errors and EOF are those that the connection's own Read would return.
func TestReadErrorsAreTheConnections(t *testing.T) {
	ours, theirs := tcpPair(t)
	w := new(Pool).New(ours)
	theirs.Close()
	if n, err := w.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the peer's end: %d, %v", n, err)
	}
	w.Close()
	var operation *net.OpError
	if _, err := w.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) || !errors.As(err, &operation) || operation.Op != "read" {
		t.Errorf("after Close: %v", err)
	}
}

// BenchmarkWrite measures bulk data to a client, written in the pieces in which
// x/crypto writes a packet of 32 KiB.
func BenchmarkWrite(b *testing.B) {
	ours, theirs := tcpPair(b)
	go io.Copy(io.Discard, theirs)
	w := new(Pool).New(ours)
	defer w.Close()
	packet := make([]byte, 32<<10+40)
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		w.Ready()
		w.Write(packet[:4096])
		w.Write(packet[4096:])
	}
}

// BenchmarkRead measures bulk data from a client, read in the pieces in which
// x/crypto reads a packet.
func BenchmarkRead(b *testing.B) {
	ours, theirs := tcpPair(b)
	w := new(Pool).New(ours)
	defer w.Close()
	packet := make([]byte, 32<<10+40)
	go func() {
		for {
			if _, err := theirs.Write(packet); err != nil {
				return
			}
		}
	}()
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Read(packet[:4096]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(w, packet[4096:]); err != nil {
			b.Fatal(err)
		}
	}
	theirs.Close()
}
