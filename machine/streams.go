package machine

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// OnPipes returns the process of a child whose standard streams are pipes; it takes
// over ours, this side's ends.
func OnPipes(child *Child, ours Stdio) *Process {
	return &Process{
		Stdin: ours.In, Stdout: ours.Out, Stderr: ours.Err,
		Exit: child.Ending.Exit(), Signal: child.Signal,
		Close: func() error {
			ours.Close()
			return nil
		},
	}
}

// OnPty returns the process of a child on a pty, whose master it takes over.
func OnPty(child *Child) *Process {
	t := &terminal{master: child.Pty}
	child.Ending.Then(func() { t.master.SetReadDeadline(time.Now()) }) // output that is there is still read
	return &Process{
		Stdin: terminalInput{t}, Stdout: t,
		Exit: child.Ending.Exit(), Signal: child.Signal,
		Resize: func(size Size) error { return SetSize(t.master, size) },
		Break:  func() error { return SendBreak(t.master) },
		Close:  t.Close,
	}
}

// terminal is a pty's master. Its output ends when the command has ended and
// everything was read. Like sshd, it does not wait for other processes that hold the
// terminal; they are hung up.
type terminal struct {
	master *os.File
	once   sync.Once
}

func (t *terminal) Read(buf []byte) (int, error) {
	n, err := t.master.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return t.readWhatIsThere(buf)
	}
	return n, err
}

func (t *terminal) readWhatIsThere(buf []byte) (n int, err error) {
	err = WithFD(t.master, func(fd int) error {
		var err error
		n, err = unix.Read(fd, buf)
		return err
	})
	if err != nil || n <= 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close hangs up.
func (t *terminal) Close() error {
	err := os.ErrClosed
	t.once.Do(func() { err = t.master.Close() })
	return err
}

// terminalInput is what is typed at a terminal.
type terminalInput struct{ *terminal }

func (i terminalInput) Write(p []byte) (int, error) { return i.master.Write(p) }

func (i terminalInput) Close() error { return nil }
