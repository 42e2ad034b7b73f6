package helper

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotStarted is what Meet returns where something else than a helper
// answers, or nothing does.
var ErrNotStarted = errors.New("the helper did not start")

// Meet takes over a helper that was just started (see the package comment).
// in and out are its standard streams, and pid tells which process it is, as
// this process numbers them, once it runs.
func Meet(in io.Writer, out io.Reader, pid func() (int, error)) (*Client, error) {
	nonce := rand.Text()
	if _, err := io.WriteString(in, nonce+"\n"); err != nil {
		return nil, err
	}
	fd, err := readAnnouncement(out)
	if err != nil {
		return nil, err
	}
	process, err := pid()
	if err != nil {
		return nil, err
	}
	far, err := takeDescriptor(process, fd)
	if err != nil {
		return nil, err
	}
	return Attach(far, nonce)
}

// readAnnouncement reads the first line that a started helper prints.
func readAnnouncement(out io.Reader) (fd int, err error) {
	line, err := bufio.NewReader(io.LimitReader(out, 256)).ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	return parseAnnouncement(line)
}

func parseAnnouncement(line string) (fd int, err error) {
	word, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	fd, err = strconv.Atoi(number)
	if word != announcement || err != nil || fd < 0 {
		return 0, ErrNotStarted
	}
	return fd, nil
}

// takeDescriptor takes a copy of a process's descriptor. It needs what a
// debugger needs: root, CAP_SYS_PTRACE, or to be the owner of the container's
// user namespace, as with a rootless engine.
func takeDescriptor(pid, fd int) (*os.File, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d of the helper cannot be seen from here: %w", pid, err)
	}
	defer unix.Close(pidfd)
	taken, err := unix.PidfdGetfd(pidfd, fd, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, errors.New("the gateway may not take descriptors out of the container: run it as root or with CAP_SYS_PTRACE")
	}
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	return os.NewFile(uintptr(taken), "helper"), nil
}
