package helper

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxRequest is the largest message to a helper. A command line may have
	// 128 KiB (Linux's MAX_ARG_STRLEN), and a socket takes no more than its
	// default send buffer of 208 KiB.
	maxRequest = 192 << 10

	// maxReply is the largest message from a helper.
	maxReply = 8 << 10

	// sendTimeout is how long a message may wait for the other side to take
	// those before it.
	sendTimeout = 10 * time.Second

	// maxFiles is how many descriptors one message may carry.
	maxFiles = 3
)

// socket is one end of a SOCK_SEQPACKET pair.
type socket struct {
	conn *net.UnixConn
	buf  []byte
}

// packet is one message as it came.
type packet struct {
	kind  byte
	body  []byte // until the next receive
	files []*os.File
}

func (p packet) close() {
	for _, file := range p.files {
		discardFile(file)
	}
}

// newPair makes two connected sockets: ours, and the file to give away.
func newPair(maxReceived int) (*socket, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "helper")
	ours, err := newSocket(os.NewFile(uintptr(fds[0]), "helper"), maxReceived)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// newSocket takes the file over.
func newSocket(file *os.File, maxReceived int) (*socket, error) {
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
	return &socket{conn: unixConn, buf: make([]byte, maxReceived)}, nil
}

func (s *socket) Close() error {
	calmHolder(s.conn)
	return s.conn.Close()
}

// send sends one message with descriptors, which stay the caller's. A side that
// takes none for a while is given up.
func (s *socket) send(kind byte, message any, fds ...int) error {
	body := marshal(kind, message)
	if len(body) > maxRequest {
		return fmt.Errorf("more than %d bytes in one command", maxRequest)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, _, err := s.conn.WriteMsgUnix(body, rights, nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.Close()
	}
	return err
}

// receive reads one message. Its descriptors are the caller's, and close on exec.
func (s *socket) receive() (packet, error) {
	rights := make([]byte, unix.CmsgSpace(maxRights*4))
	n, nRights, flags, _, err := s.conn.ReadMsgUnix(s.buf, rights)
	if err != nil {
		return packet{}, err
	}
	p := packet{}
	for _, fd := range descriptors(rights[:nRights]) {
		p.files = append(p.files, os.NewFile(uintptr(fd), "received"))
	}
	if n == 0 {
		p.close()
		return packet{}, io.EOF
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || len(p.files) > maxFiles {
		p.close()
		return packet{}, errors.New("a message too large")
	}
	p.kind, p.body = s.buf[0], s.buf[1:n]
	return p, nil
}
