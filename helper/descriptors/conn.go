package descriptors

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// conn is a connection that a container made and may still share. Whether calls block
// is a flag of the open file, which all who share it can change: a container could
// clear it and make each read of the gateway block a thread, of which there are only
// so many. So every call here asks by itself not to block (MSG_DONTWAIT).
type conn struct {
	net.Conn
	raw    syscall.RawConn
	rights []byte // room for received descriptors, for a unix socket
}

// newConn returns a connection on the file, which it takes over.
func newConn(file *os.File, network string) (net.Conn, error) {
	if file == nil {
		return nil, errors.New("no descriptor came")
	}
	if err := checkSocket(file, connected(network)); err != nil {
		Discard(file)
		return nil, err
	}
	defer file.Close() // net.FileConn has its own copy
	known, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	raw, err := known.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	c := conn{Conn: known, raw: raw}
	if network == "unix" {
		c.rights = make([]byte, unix.CmsgSpace(maxRights*4))
	}
	return c, nil
}

func (c conn) Read(p []byte) (n int, err error) {
	var failed error
	err = c.raw.Read(func(fd uintptr) bool {
		failed = unix.EINTR
		for failed == unix.EINTR {
			n, failed = c.receive(int(fd), p)
		}
		return failed != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, os.NewSyscallError("recv", failed)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// receive reads from a unix socket and closes descriptors that come along. Nobody
// here wants them, and a kernel that has no room for them would close them itself,
// and may block in that.
func (c conn) receive(fd int, p []byte) (n int, err error) {
	if c.rights == nil {
		n, _, err = unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
		return n, err
	}
	n, nRights, _, _, err := unix.Recvmsg(fd, p, c.rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err == nil {
		discardAll(descriptors(c.rights[:nRights]))
	}
	return n, err
}

func (c conn) Write(p []byte) (written int, err error) {
	for written < len(p) && err == nil {
		var failed error
		err = c.raw.Write(func(fd uintptr) bool {
			n := 0
			failed = unix.EINTR
			for failed == unix.EINTR {
				n, failed = unix.SendmsgN(int(fd), p[written:], nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			}
			written += max(n, 0)
			return failed != unix.EAGAIN
		})
		if err == nil && failed != nil {
			err = os.NewSyscallError("send", failed)
		}
	}
	return written, err
}

// CloseWrite ends the direction that is written.
func (c conn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

func (c conn) Close() error {
	calmHolder(c.Conn)
	return c.Conn.Close()
}
