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

// Socket is one end of a SOCK_SEQPACKET pair.
type Socket struct {
	Peer messages.Version // what the helper at the other end speaks, where there is one

	conn        *net.UnixConn
	raw         syscall.RawConn
	maxReceived int // bytes of a message
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

// NewSocket makes a socket of a connection, for messages of at most so many
// bytes.
func NewSocket(conn *net.UnixConn, maxReceived int) *Socket {
	raw, _ := conn.SyscallConn() // of a connection that is there
	return &Socket{conn: conn, raw: raw, maxReceived: maxReceived}
}

// NewPair makes two connected sockets: ours, and the file to give away.
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

// FileSocket makes a socket of a file, which it takes over.
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

// File is the socket for another process. It is the caller's to close, and this one
// stays open.
func (s *Socket) File() (*os.File, error) { return s.conn.File() }

// LetGo closes this process's hold of a socket that another one has (see File), and
// changes nothing there.
func (s *Socket) LetGo() error { return s.conn.Close() }

// Close waits for nobody.
func (s *Socket) Close() error {
	calmHolder(s.conn)
	return s.conn.Close()
}

// CloseWrite says no more. The other side hears that as the end, and may still send.
func (s *Socket) CloseWrite() error { return s.conn.CloseWrite() }

// Send sends one message with descriptors, which stay the caller's. A side that
// takes none for a while is given up.
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

// Receive reads one message. Its descriptors are the caller's, and close on exec.
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

// receive takes a message that is there, and fails with EAGAIN where none is.
// Its buffers are of this call alone and as large as the message: a socket that
// waits holds none.
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

// uninterrupted makes a system call again that a signal has cut short.
func uninterrupted(call func() error) error {
	err := call()
	for err == unix.EINTR {
		err = call()
	}
	return err
}

// ReceiveWithin reads one message that is due soon.
func (s *Socket) ReceiveWithin(timeout time.Duration) (Packet, error) {
	s.conn.SetReadDeadline(time.Now().Add(timeout))
	defer s.conn.SetReadDeadline(time.Time{})
	return s.Receive()
}

// AwaitEnd returns when the other side has closed the socket. It has nothing
// else to say.
func (s *Socket) AwaitEnd() { io.Copy(io.Discard, s.conn) }
