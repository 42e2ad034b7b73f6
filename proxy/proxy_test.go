package proxy

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, from ...string) *Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var networks []netip.Prefix
	for _, network := range from {
		networks = append(networks, netip.MustParsePrefix(network))
	}
	l := Listen(inner, networks, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { l.Close() })
	return l
}

// send is a connection that begins with text.
func send(t *testing.T, l *Listener, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func version2(t *testing.T, command proxyproto.ProtocolVersionAndCommand) string {
	t.Helper()
	header := proxyproto.HeaderProxyFromAddrs(2,
		&net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 40000}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 22})
	header.Command = command
	text, err := header.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAProxySaysWhoseAConnectionIs(t *testing.T) {
	l := listen(t, "127.0.0.0/8")
	for _, tt := range []struct{ header, remote string }{
		{"PROXY TCP4 192.0.2.7 192.0.2.1 40000 22\r\n", "192.0.2.7:40000"},
		{"PROXY TCP6 2001:db8::7 2001:db8::1 40000 22\r\n", "[2001:db8::7]:40000"},
		{version2(t, proxyproto.PROXY), "[2001:db8::7]:40000"},
		{version2(t, proxyproto.LOCAL), ""}, // itself
		{"PROXY UNKNOWN\r\n", ""},
	} {
		sent := send(t, l, tt.header+"SSH-2.0-x\r\n")
		if tt.remote == "" {
			tt.remote = sent.LocalAddr().String()
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 11)
		if _, err := io.ReadFull(conn, text); err != nil || string(text) != "SSH-2.0-x\r\n" || conn.RemoteAddr().String() != tt.remote {
			t.Errorf("%q: from %v came %q, %v, want %s", tt.header, conn.RemoteAddr(), text, err, tt.remote)
		}
		conn.Close()
	}
}

// The attack: a client says that it is somewhere else, to enter by a grant that
// is for a network, or to have others counted for its failures.
func TestOnlyListedNetworksAreBelieved(t *testing.T) {
	const header = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 22\r\n"
	l := listen(t, "192.0.2.0/24")
	sent := send(t, l, header)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := make([]byte, len(header))
	if _, err := io.ReadFull(conn, text); err != nil || string(text) != header || conn.RemoteAddr().String() != sent.LocalAddr().String() {
		t.Errorf("from %v came %q, %v", conn.RemoteAddr(), text, err)
	}
}

// The attack: a client reaches the gateway through the proxy's network, but not
// through the proxy, and would be taken for it.
func TestAConnectionOfAProxyWithoutAHeaderIsClosed(t *testing.T) {
	l := listen(t, "127.0.0.1/32")
	accepted := make(chan net.Addr, 10)
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			accepted <- conn.RemoteAddr()
			conn.Close()
		}
	}()
	for _, text := range []string{
		"SSH-2.0-OpenSSH_9.9\r\n",
		"PROXY TCP4 192.0.2.7 192.0.2.1 0 22\r\n",
		"PROXY TCP4 192.0.2.7\r\n",
		"PROXY TCP4 192.0.2.7 192.0.2.1 40000 22\n",
		"PROXY " + strings.Repeat("x", 200),
		string(proxyproto.SIGV2) + "\x21\x11\xff\xff",
		string(proxyproto.SIGV2) + "\x21\x00\x00\x00",
		string(proxyproto.SIGV2) + "\xff\x11\x00\x0c" + strings.Repeat("x", 12),
	} {
		conn := send(t, l, text)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, io.ErrNoProgress) || isTimeout(err) {
			t.Errorf("%q: is not closed: %v", text, err)
		}
	}
	if len(accepted) > 0 {
		t.Errorf("%d were accepted, the first from %v", len(accepted), <-accepted)
	}
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// A proxy that says nothing holds up nobody, and not the end either.
func TestASilentProxyHoldsUpNobody(t *testing.T) {
	l := listen(t, "127.0.0.0/8")
	send(t, l, "PRO")
	send(t, l, "PROXY TCP4 192.0.2.7 192.0.2.1 40000 22\r\n")
	conn, err := l.Accept()
	if err != nil || conn.RemoteAddr().String() != "192.0.2.7:40000" {
		t.Fatalf("%v", err)
	}
	conn.Close()
	began := time.Now()
	l.Close()
	if took := time.Since(began); took > headerTimeout/2 {
		t.Errorf("closed after %v", took)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

// Whatever comes, not a byte after the header is taken, and what is taken for an
// address is one.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 40000 22\r\nSSH"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(append(append([]byte{}, proxyproto.SIGV2...), "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x9c\x40\x00\x16SSH"...))
	f.Add(append(append([]byte{}, proxyproto.SIGV2...), "\x20\x00\x00\x00SSH"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		rest := bytes.NewReader(data)
		client, err := readHeader(rest)
		if err != nil {
			return
		}
		if client != nil && (client.Port == 0 || client.IP == nil) {
			t.Errorf("%q is from %v", data, client)
		}
		taken := data[:len(data)-rest.Len()]
		again, err := readHeader(bytes.NewReader(taken))
		if err != nil || (client == nil) != (again == nil) || client != nil && client.String() != again.String() {
			t.Errorf("%q alone is %v, %v, and with more after it %v", taken, again, err, client)
		}
	})
}
