package hosts

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/yamux"
)

// A helper that keeps its end of a stream must not keep the connection of the
// person who has left.
func TestClosingAUsedServerEndsItsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ours, err := yamux.Client(near, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		theirs, err := yamux.Server(far, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		stream, err := ours.Open()
		if err != nil {
			t.Fatal(err)
		}
		server := &usedServer{Conn: stream, unuse: func() {}}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			io.Copy(io.Discard, server)
		}()
		synctest.Wait() // it reads
		server.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("it reads on")
		}
	})
}
