package wire

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// prompt makes the kernel acknowledge at once what is read from a TCP
// connection. OpenSSH's client leaves Nagle's algorithm on until it has logged
// in, so its next small packet waits for that acknowledgement, which the
// kernel would otherwise delay by 40 ms: twice a login.
func prompt(conn net.Conn) io.Reader {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	return promptReader{tcp, raw}
}

type promptReader struct {
	conn *net.TCPConn
	raw  syscall.RawConn
}

// Read sets the option each time: the kernel takes it back by itself.
func (r promptReader) Read(p []byte) (int, error) {
	n, err := r.conn.Read(p)
	r.raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	return n, err
}
