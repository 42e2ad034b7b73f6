package machine

import (
	"net"
	"strconv"
	"testing"
)

// A client that asks for ssh -R 0.0.0.0:… does not ask for the other family, where the
// port may be somebody else's.
func TestAnAddressIsOfOneFamily(t *testing.T) {
	for bound, reached := range map[string]struct{ four, six bool }{
		"0.0.0.0": {true, false}, "::": {false, true}, "": {true, true},
	} {
		listener, err := new(Local).Listen("tcp", net.JoinHostPort(bound, "0"))
		if err != nil {
			t.Skip(err) // no IPv6
		}
		defer listener.Close()
		port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
		if got := answers(net.JoinHostPort("127.0.0.1", port)); got != reached.four {
			t.Errorf("%q: 127.0.0.1 is reached: %v", bound, got)
		}
		if got := answers(net.JoinHostPort("::1", port)); got != reached.six {
			t.Errorf("%q: ::1 is reached: %v", bound, got)
		}
	}
}

func answers(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
