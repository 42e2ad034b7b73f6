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

// listenTCP listens in the family that the address names, and in both where it names
// no host, as sshd does. net.Listen takes 0.0.0.0 and :: for both by itself.
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

// localListener is closed when its Close returns. A process that is being
// started holds a copy of every descriptor until it runs its program, and would
// go on listening.
type localListener struct {
	net.Listener
	children *children
}

func (l localListener) Close() error {
	if holder, ok := l.Listener.(syscall.Conn); ok {
		WithFD(holder, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
	}
	l.children.mu.Lock() // nothing is being started then
	defer l.children.mu.Unlock()
	return l.Listener.Close()
}

// unixListener is a socket with a name, which is taken away with it unless it
// is somebody else's by then.
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

// listenUnix makes a socket that only its owner can connect to. The mode is
// set before there is a name, so there is no moment at which others could. A
// socket that is there already gives way, as with sshd's StreamLocalBindUnlink:
// mostly it is what a connection left behind that broke.
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

// listenPrivate makes a socket in a directory of its own.
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

// privateDir makes a directory that only the account can enter, as sshd does
// for an agent, or elsewhere where /tmp cannot be written to.
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
