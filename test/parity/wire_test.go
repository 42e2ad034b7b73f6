package parity

import (
	"io"
	"net"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestWire asks the oracle's questions on wires that are worse than most: keys
// are exchanged anew at every megabyte, or each byte comes by itself.
func TestWire(t *testing.T) {
	m := harness.StartMachine(t)
	wires(t, m.Gateway, m.Doors())
	c := harness.StartContainer(t)
	g := harness.StartGateway(t, c.Dir, c.Config(t))
	wires(t, g, []harness.Target{g.Target(t, "exec", "dev+lab", c.Key)})
}

func wires(t *testing.T, g *harness.Gateway, doors []harness.Target) {
	_, port, _ := net.SplitHostPort(g.Address)
	_, slicer, _ := net.SplitHostPort(startSlicer(t, g.Address))
	for _, to := range doors {
		rekeying := to.With(t, g.Dir, "rekeying", "RekeyLimit 1M")
		sliced := to.With(t, g.Dir, "sliced", "Port "+slicer, "HostKeyAlias [127.0.0.1]:"+port)
		t.Run(rekeying.Name, func(t *testing.T) { oracle(t, rekeying) })
		t.Run(sliced.Name, func(t *testing.T) { sliced.Scripts(t, "testdata/oracle/*.txtar") })
	}
}

// startSlicer starts a proxy that writes one byte at a time.
func startSlicer(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for near, err := listener.Accept(); err == nil; near, err = listener.Accept() {
			go slice(near, address)
		}
	}()
	return listener.Addr().String()
}

func slice(near net.Conn, address string) {
	defer near.Close()
	far, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		sliceOneWay(far, near)
		far.(*net.TCPConn).CloseWrite()
	}()
	sliceOneWay(near, far)
}

func sliceOneWay(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for n, err := from.Read(buf); err == nil; n, err = from.Read(buf) {
		for i := range n {
			if _, err := to.Write(buf[i : i+1]); err != nil {
				return
			}
		}
	}
}
