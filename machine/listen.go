package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen listens here; see [Machine].
func (l *Local) Listen(network, address string) (net.Listener, error) {
	listener, err := listen(network, address)
	if err != nil {
		return nil, err
	}
	return localListener{listener, &l.children}, nil
}

func listen(network, address string) (net.Listener, error) {
	switch {
	case network == X11:
		return listenDisplay(address)
	case network != "unix":
		return listenTCP(address)
	case address == "":
		return listenPrivate()
	default:
		return listenUnix(address)
	}
}

// listenTCP listens in the family of the address, and, like sshd, in both if it has
// no host. net.Listen would use both for 0.0.0.0 and ::, too.
func listenTCP(address string) (net.Listener, error) {
	network := "tcp"
	if named, err := netip.ParseAddrPort(address); err == nil {
		network = "tcp6"
		if named.Addr().Unmap().Is4() {
			network = "tcp4"
		}
	}
	return net.Listen(network, address)
}

// localListener has a Close that waits until the socket is really closed. A process
// that is being started has a copy of every descriptor until it runs its program, and
// so would go on listening.
type localListener struct {
	net.Listener
	children *children
}

func (l localListener) Close() error {
	if holder, ok := l.Listener.(syscall.Conn); ok {
		WithFD(holder, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
	}
	l.children.mu.Lock() // while it is held, no process is being started
	defer l.children.mu.Unlock()
	return l.Listener.Close()
}

// unixListener is a socket with a name. Close removes the name, unless it belongs to
// another socket by then.
type unixListener struct {
	*net.UnixListener
	path string
	made fs.FileInfo
}

func (l unixListener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(l.made, now) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// listenUnix creates a socket to which only its owner can connect. The mode is set
// before it has a name, so there is no moment in which others could. Like sshd's
// StreamLocalBindUnlink, it replaces an existing socket, which is mostly left by a
// broken connection.
func listenUnix(path string) (net.Listener, error) {
	if there, err := os.Lstat(path); err == nil && there.Mode().Type() == fs.ModeSocket {
		os.Remove(path)
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	listener, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	named := listener.(*net.UnixListener)
	made, err := os.Lstat(path)
	if err != nil {
		named.Close()
		return nil, err
	}
	named.SetUnlinkOnClose(false)
	return unixListener{named, path, made}, nil
}

// listenPrivate creates a socket in a new directory.
func listenPrivate() (net.Listener, error) {
	dir, err := privateDir()
	if err != nil {
		return nil, err
	}
	listener, err := listenUnix(filepath.Join(dir, "agent."+fmt.Sprint(os.Getpid())))
	if err != nil {
		os.Remove(dir)
		return nil, err
	}
	return privateListener{listener, dir}, nil
}

// privateDir creates a directory that only the account can enter, as sshd does for an
// agent; if /tmp cannot be written to, it does so elsewhere.
func privateDir() (dir string, err error) {
	for _, parent := range []string{os.TempDir(), "/dev/shm", "/run"} {
		if dir, err = os.MkdirTemp(parent, "ssh-"); err == nil {
			return dir, nil
		}
	}
	return "", err
}

type privateListener struct {
	net.Listener
	dir string
}

func (l privateListener) Close() error {
	return errors.Join(l.Listener.Close(), os.Remove(l.dir))
}
