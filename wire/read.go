package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// promptBelow is more than any packet of a login. Larger reads are of data,
// which needs no prompt acknowledgement.
const promptBelow = 16 << 10

// reader reads a connection, as much as the kernel has, into a block that it
// holds only as long as bytes are in it.
type reader struct {
	pool *Pool
	conn net.Conn
	raw  syscall.RawConn // nil where conn is no socket of this process
	tcp  bool

	block []byte // nil, or what was read
	next  int    // of block, what is read next

	tryRead func(fd uintptr) bool // readSocket, made once instead of at each read
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

// socketOf is the socket whose bytes are those of a connection, if it says so by a
// method Socket, or else the connection itself. One that only embeds a socket may have
// a Read or Write of its own, which is not passed by.
func socketOf(conn net.Conn) net.Conn {
	if same, ok := conn.(interface{ Socket() net.Conn }); ok {
		return same.Socket()
	}
	return conn
}

func (r *reader) Read(p []byte) (int, error) {
	if r.block == nil {
		if r.raw == nil { // no system calls to save
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

// peek returns what is buffered and not read yet. It is valid until the next
// Read or fill.
func (r *reader) peek() []byte { return r.block[r.next:] }

// fill waits for bytes and adds them to those that are buffered.
func (r *reader) fill() error {
	if len(r.block) == blockSize {
		return io.ErrShortBuffer
	}
	if r.raw == nil {
		return r.took(r.conn.Read(r.space()))
	}
	if err := r.raw.Read(r.tryRead); err != nil { // the deadline, or Close
		return r.readError(err)
	}
	if r.err != nil && !errors.Is(r.err, io.EOF) {
		return r.readError(os.NewSyscallError("read", r.err))
	}
	return r.err
}

// readSocket adds what the kernel has, and returns false where that is nothing
// yet. The kernel acknowledges at once what is read from a TCP connection:
// OpenSSH's client leaves Nagle's algorithm on until it has logged in, so its
// next small packet waits for that acknowledgement, which would otherwise be
// delayed by 40 ms, twice a login. The kernel takes the option back by itself.
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

// space is where a read may put bytes.
func (r *reader) space() []byte {
	if r.block == nil {
		r.block = r.pool.get()
	}
	return r.block[len(r.block):blockSize]
}

// took keeps the bytes of a read. A block that nothing came into goes back:
// nobody who waits has one.
func (r *reader) took(n int, err error) error {
	r.block = r.block[:len(r.block)+max(n, 0)]
	if len(r.block) == 0 {
		r.release()
	}
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

func (r *reader) release() {
	r.pool.put(r.block)
	r.block, r.next = nil, 0
}

// readError is the error as the connection's own Read would return it.
func (r *reader) readError(err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err
	}
	local := r.conn.LocalAddr()
	return &net.OpError{Op: "read", Net: local.Network(), Source: local, Addr: r.conn.RemoteAddr(), Err: err}
}
