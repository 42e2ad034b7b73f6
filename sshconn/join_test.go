package sshconn

import (
	"io"
	"net"
	"testing"
	"time"
)

// pair returns two ends of a TCP connection.
func pair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dialled.Close()
		accepted.Close()
	})
	deadline := time.Now().Add(10 * time.Second)
	dialled.SetDeadline(deadline)
	accepted.SetDeadline(deadline)
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

func join(t *testing.T, a, b End) (joined <-chan struct{}) {
	t.Helper()
	over := make(chan struct{})
	tasks := &Tasks{Panicked: func(v any, _ []byte) { t.Errorf("panic: %v", v) }}
	go func() {
		defer close(over)
		Join(a, b, tasks, nil)
		tasks.Wait()
	}()
	return over
}

func TestAnEndThatHasNoMoreToSayCanStillListen(t *testing.T) {
	client, a := pair(t)
	b, server := pair(t)
	joined := join(t, End{Data: a}, End{Data: b})
	io.WriteString(client, "question")
	client.CloseWrite()
	if asked, err := io.ReadAll(server); string(asked) != "question" || err != nil {
		t.Fatalf("asked %q, %v", asked, err)
	}
	io.WriteString(server, "answer")
	server.Close()
	if answered, err := io.ReadAll(client); string(answered) != "answer" || err != nil {
		t.Errorf("answered %q, %v", answered, err)
	}
	<-joined
}

// A peer that closes its channel right after its last write still has that delivered,
// and the other end learns that nobody reads any more.
func TestAnEndThatIsClosedHasItsLastBytesDelivered(t *testing.T) {
	client, a := pair(t)
	b, server := pair(t)
	closed := make(chan struct{})
	joined := join(t, End{Data: a, Serve: func() { <-closed }}, End{Data: b})
	io.WriteString(client, "last")
	client.CloseWrite()
	close(closed)
	if got, err := io.ReadAll(server); string(got) != "last" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	server.SetDeadline(time.Now().Add(10 * time.Second))
	for {
		if _, err := server.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	server.Close()
	<-joined
}
