package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// promptBelow is larger than any packet of a login. A larger read is bulk data, which
// needs no immediate acknowledgement.
const promptBelow = 16 << 10

// reader reads from a connection all that the kernel has, into a block that it holds
// only while bytes are in it.
type reader struct {
	pool *Pool
	conn net.Conn
	raw  syscall.RawConn // nil if conn is no socket of this process
	tcp  bool

	block []byte // what was read; nil if nothing is buffered
	next  int    // index in block of the next byte to return

	tryRead func(fd uintptr) bool // readSocket as a value, made only once
	err     error                 // of the last readSocket
}

func newReader(pool *Pool, conn net.Conn) *reader {
	r := &reader{pool: pool, conn: conn}
	r.tryRead = r.readSocket
	switch socket := socketOf(conn).(type) {
	case *net.TCPConn:
		r.raw, _ = socket.SyscallConn()
		r.tcp = true
	case *net.UnixConn:
		r.raw, _ = socket.SyscallConn()
	}
	return r
}

// socketOf returns the socket that carries exactly the connection's bytes, if the
// connection names it by a method Socket. Otherwise it returns the connection itself:
// one that only embeds a socket may have a Read or Write of its own, which must be
// used.
func socketOf(conn net.Conn) net.Conn {
	if same, ok := conn.(interface{ Socket() net.Conn }); ok {
		return same.Socket()
	}
	return conn
}

func (r *reader) Read(p []byte) (int, error) {
	if r.block == nil {
		if r.raw == nil { // no socket: read it directly
			return r.conn.Read(p)
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.block[r.next:])
	if r.next += n; r.next == len(r.block) {
		r.release()
	}
	return n, nil
}

// peek returns what is buffered and not read yet. It is valid until the next Read or
// fill.
func (r *reader) peek() []byte { return r.block[r.next:] }

// fill waits for bytes and appends them to those that are buffered.
func (r *reader) fill() error {
	if len(r.block) == blockSize {
		return io.ErrShortBuffer
	}
	if r.raw == nil {
		return r.took(r.conn.Read(r.space()))
	}
	if err := r.raw.Read(r.tryRead); err != nil { // the deadline has passed, or Close was called
		return r.readError(err)
	}
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return r.readError(os.NewSyscallError("read", r.err))
	}
	return r.err
}

// readSocket reads what the kernel has into the block, and returns false if there is
// nothing yet. It has the kernel acknowledge small reads from a TCP connection at
// once: OpenSSH's client leaves Nagle's algorithm on until it has logged in, so its
// next small packet waits for the acknowledgement, which would otherwise come 40 ms
// later, twice in a login. The kernel resets the option by itself.
func (r *reader) readSocket(fd uintptr) bool {
	n, err := unix.Read(int(fd), r.space())
	for err == unix.EINTR {
		n, err = unix.Read(int(fd), r.space())
	}
	if r.tcp && n < promptBelow {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	r.err = r.took(n, err)
	return err != unix.EAGAIN
}

// space returns where the next read may put bytes.
func (r *reader) space() []byte {
	if r.block == nil {
		r.block = r.pool.get()
	}
	return r.block[len(r.block):blockSize]
}

// took adds n bytes of a read to the block. A block that is still empty goes back to
// the pool, so that a connection that waits holds none.
func (r *reader) took(n int, err error) error {
	r.block = r.block[:len(r.block)+max(n, 0)]
	if len(r.block) == 0 {
		r.release()
	}
	if n > 0 {
		return nil // the next read returns the error again
	}
	return err
}

func (r *reader) release() {
	r.pool.put(r.block)
	r.block, r.next = nil, 0
}

// readError returns the error as the connection's own Read would.
func (r *reader) readError(err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err
	}
	local := r.conn.LocalAddr()
	return &net.OpError{Op: "read", Net: local.Network(), Source: local, Addr: r.conn.RemoteAddr(), Err: err}
}
