package descriptors

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/berth-ssh/berth/machine"

	"golang.org/x/sys/unix"
)

// socketKind is what a socket from a container must be before the gateway uses it.
// Reading from another kind of file could block a thread, or return something of
// another meaning.
type socketKind struct {
	domains []int
	kind    int
}

// CheckSocket reports what is wrong with a descriptor that should be an end of
// a [Socket].
func CheckSocket(file *os.File) error {
	return checkSocket(file, socketKind{[]int{unix.AF_UNIX}, unix.SOCK_SEQPACKET})
}

func connected(network string) socketKind {
	return socketKind{domains(network), unix.SOCK_STREAM}
}

func domains(network string) []int {
	if network == "unix" {
		return []int{unix.AF_UNIX}
	}
	return []int{unix.AF_INET, unix.AF_INET6}
}

func checkSocket(file *os.File, want socketKind) error {
	if file == nil {
		return errors.New("no descriptor came")
	}
	return withFD(file, func(fd int) error {
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return fmt.Errorf("not a socket: %w", err)
		}
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil {
			return err
		}
		accepting, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil {
			return err
		}
		if !slices.Contains(want.domains, domain) || kind != want.kind || accepting != 0 {
			return fmt.Errorf("a socket of another kind came (domain %d, type %d)", domain, kind)
		}
		return unix.SetNonblock(fd, true)
	})
}

// ptyMaster returns the file, non-blocking and in Go's poller, if it is a pty's
// master. It owns the file and closes it otherwise.
func ptyMaster(file *os.File) (*os.File, error) {
	if file == nil {
		return nil, errors.New("no descriptor came")
	}
	defer Discard(file)
	err := withFD(file, func(fd int) error {
		_, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("not a pty's master: %w", err)
	}
	return machine.Pollable(file, "pty")
}
