package test

import (
	"io"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWire asks the oracle's questions on wires that are worse than most: keys
// are exchanged anew at every megabyte, or each byte comes by itself.
func TestWire(t *testing.T) {
	need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	m := startMachine(t)
	m.gateway.wires(t, m.doors())
}

func (g *gateway) wires(t *testing.T, doors []target) {
	_, port, _ := net.SplitHostPort(g.address)
	_, slicer, _ := net.SplitHostPort(startSlicer(t, g.address))
	for _, to := range doors {
		rekeying := to.with(t, g.dir, "rekeying", "RekeyLimit 1M")
		sliced := to.with(t, g.dir, "sliced", "Port "+slicer, "HostKeyAlias [127.0.0.1]:"+port)
		t.Run(rekeying.name, rekeying.oracle)
		t.Run(sliced.name, sliced.smallOracle)
	}
}

// with is the same door with other options, which go before its own.
func (to target) with(t *testing.T, dir, name string, options ...string) target {
	t.Helper()
	name = to.name + "_" + name
	config := filepath.Join(dir, name+".ssh_config")
	own := read(t, filepath.Join(dir, to.name+".ssh_config"))
	write(t, config, 0o600, "Host h\n"+strings.Join(options, "\n")+"\n"+own)
	return target{name, to.door, wrapClients(t, filepath.Join(dir, name+".clients"), config)}
}

// smallOracle leaves out what moves megabytes.
func (to target) smallOracle(t *testing.T) {
	large := regexp.MustCompile(`seq \d{5}|\d[KM] |\byes\b`)
	to.ask(t, slices.DeleteFunc(oracleCases(), func(c oracleCase) bool { return large.MatchString(c.script) }))
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
