package session

import (
	"errors"
	"io"
	"os"
	"time"

	"berth/machine"
	"berth/sshconn"

	"golang.org/x/sys/unix"
)

// ptyOutput is what comes out of a pty until its command has ended and no more
// is there. Whatever else may hold the terminal then is not waited for, as it
// is not by sshd, but hung up.
type ptyOutput struct{ master *os.File }

// ptyOutput is the output of the session's pty, and how its process ended.
func (s *session) ptyOutput() (ptyOutput, <-chan sshconn.Exit) {
	exit := make(chan sshconn.Exit, 1)
	s.server.tasks.Go(func() {
		defer close(exit)
		select {
		case how, known := <-s.process.Exit:
			if known {
				exit <- how
			}
			s.process.Pty.SetReadDeadline(time.Now())
		case <-s.gone:
		}
	})
	return ptyOutput{s.process.Pty}, exit
}

func (o ptyOutput) Read(buf []byte) (int, error) {
	n, err := o.master.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return o.readWhatIsThere(buf)
	}
	return n, err
}

func (o ptyOutput) readWhatIsThere(buf []byte) (n int, err error) {
	err = machine.WithFD(o.master, func(fd int) error {
		var err error
		n, err = unix.Read(fd, buf)
		return err
	})
	if err != nil || n <= 0 {
		return 0, io.EOF
	}
	return n, nil
}
