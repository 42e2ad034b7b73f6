package front

import (
	"net"
	"testing"
)

// Without its socket, package wire reads a host's connection by the way that takes more
// system calls, and the kernel's delayed acknowledgements cost each login 40 ms.
func TestAConnectionToAHostNamesItsSocket(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	left := false
	var conn net.Conn = leftConn{ours, func() { left = true }}
	if named, ok := conn.(interface{ Socket() net.Conn }); !ok || named.Socket() != ours {
		t.Error("it does not name its socket")
	}
	if conn.Close(); !left {
		t.Error("its entrance is not left when it is closed")
	}
}
