package descriptors

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/helper/messages"

	"golang.org/x/sys/unix"
)

// maxFiles is how many descriptors one message may carry.
const maxFiles = 3

// Socket is one end of a pair of SOCK_SEQPACKET sockets.
type Socket struct {
	Peer messages.Version // the version of the helper at the other end, if there is one

	conn        *net.UnixConn
	raw         syscall.RawConn
	maxReceived int // in bytes; longer messages are refused
}

// Packet is one message and the descriptors that came along.
type Packet struct {
	messages.Message
	Files []*os.File
}

// Close closes the descriptors.
func (p Packet) Close() {
	for _, file := range p.Files {
		Discard(file)
	}
}

// NewSocket returns a socket on a connection. It receives messages of at most
// maxReceived bytes.
func NewSocket(conn *net.UnixConn, maxReceived int) *Socket {
	raw, _ := conn.SyscallConn() // an open connection returns no error
	return &Socket{conn: conn, raw: raw, maxReceived: maxReceived}
}

// NewPair returns two connected sockets: one for this process, and a file to give
// away.
func NewPair(maxReceived int) (*Socket, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "helper")
	ours, err := FileSocket(os.NewFile(uintptr(fds[0]), "helper"), maxReceived)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// FileSocket returns a socket on a file, which it takes over.
func FileSocket(file *os.File, maxReceived int) (*Socket, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("not a unix socket")
	}
	return NewSocket(unixConn, maxReceived), nil
}

// File returns a copy of the socket for another process. The caller closes the copy;
// this socket stays open.
func (s *Socket) File() (*os.File, error) { return s.conn.File() }

// LetGo closes only this process's copy of a socket that another process also has
// (see File). The socket itself stays open there.
func (s *Socket) LetGo() error { return s.conn.Close() }

// Close shuts the socket down for both sides, and never blocks.
func (s *Socket) Close() error {
	calmHolder(s.conn)
	return s.conn.Close()
}

// CloseWrite ends this side's messages. The other side reads that as the end, and may
// still send.
func (s *Socket) CloseWrite() error { return s.conn.CloseWrite() }

// Send sends one message with descriptors, which stay the caller's. It closes the
// socket and fails if the other side takes no message for messages.SendTimeout.
func (s *Socket) Send(kind byte, message any, fds ...int) error {
	body := messages.Marshal(kind, message)
	if len(body) > messages.MaxRequest {
		return fmt.Errorf("more than %d bytes in one command", messages.MaxRequest)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	s.conn.SetWriteDeadline(time.Now().Add(messages.SendTimeout))
	_, _, err := s.conn.WriteMsgUnix(body, rights, nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.Close()
	}
	return err
}

// Receive waits for one message. The caller must close its descriptors, which are
// close-on-exec.
func (s *Socket) Receive() (Packet, error) {
	var message, rights []byte
	var flags int
	var failed error
	err := s.raw.Read(func(fd uintptr) bool {
		message, rights, flags, failed = s.receive(int(fd))
		return failed != unix.EAGAIN
	})
	if err = cmp.Or(err, os.NewSyscallError("recvmsg", failed)); err != nil {
		return Packet{}, err
	}
	p := Packet{}
	for _, fd := range descriptors(rights) {
		p.Files = append(p.Files, os.NewFile(uintptr(fd), "received"))
	}
	if len(message) == 0 {
		p.Close()
		return Packet{}, io.EOF
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || len(p.Files) > maxFiles {
		p.Close()
		return Packet{}, errors.New("a message too large")
	}
	p.Kind, p.Body = message[0], message[1:]
	return p, nil
}

// receive reads one message without waiting, and fails with EAGAIN if there is none.
// It allocates its buffers for each message, as large as that message, so that an
// idle socket holds none.
func (s *Socket) receive(fd int) (message, rights []byte, flags int, err error) {
	size := 0
	err = uninterrupted(func() (err error) {
		size, _, err = unix.Recvfrom(fd, nil, unix.MSG_DONTWAIT|unix.MSG_PEEK|unix.MSG_TRUNC)
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	message, rights = make([]byte, min(size, s.maxReceived)), make([]byte, unix.CmsgSpace(maxRights*4))
	n, nRights := 0, 0
	err = uninterrupted(func() (err error) {
		n, nRights, flags, _, err = unix.Recvmsg(fd, message, rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	return message[:n], rights[:nRights], flags, nil
}

// uninterrupted repeats a system call as long as a signal interrupts it.
func uninterrupted(call func() error) error {
	err := call()
	for err == unix.EINTR {
		err = call()
	}
	return err
}

// ReceiveWithin is Receive with a timeout.
func (s *Socket) ReceiveWithin(timeout time.Duration) (Packet, error) {
	s.conn.SetReadDeadline(time.Now().Add(timeout))
	defer s.conn.SetReadDeadline(time.Time{})
	return s.Receive()
}

// AwaitEnd returns when the other side has closed the socket. It drops all that it
// receives until then.
func (s *Socket) AwaitEnd() { io.Copy(io.Discard, s.conn) }
