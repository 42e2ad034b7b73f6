package machine

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stdio has one side's ends of a process's standard streams.
type Stdio struct {
	In, Out, Err *os.File
}

// NewPipes creates the three pipes of a process without a pty. The gateway creates
// them, so the code that starts the process only receives descriptors, and cannot
// choose the kind or flags of any.
func NewPipes() (ours, theirs Stdio, err error) {
	defer func() {
		if err != nil {
			ours.Close()
			theirs.Close()
		}
	}()
	if theirs.In, ours.In, err = newPipe(); err != nil {
		return ours, theirs, err
	}
	if ours.Out, theirs.Out, err = newPipe(); err != nil {
		return ours, theirs, err
	}
	if ours.Err, theirs.Err, err = newPipe(); err != nil {
		return ours, theirs, err
	}
	return ours, theirs, nil
}

// pipeSize is large, so that a busy stream wakes its reader rarely.
const pipeSize = 512 << 10

// newPipe creates a pipe of pipeSize, or a small one if the user has used up the
// limit for pipes.
func newPipe() (read, write *os.File, err error) {
	read, write, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	Enlarge(write)
	return read, write, nil
}

// Enlarge makes a pipe as large as those of [NewPipes] if possible. It does nothing
// to a file that is no pipe.
func Enlarge(pipe *os.File) {
	WithFD(pipe, func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize)
		return err
	})
}

// Close closes those that are not nil.
func (s Stdio) Close() {
	for _, file := range []*os.File{s.In, s.Out, s.Err} {
		if file != nil {
			file.Close()
		}
	}
}

// ModeForOthers is the mode of pipes for a process of another account.
const ModeForOthers = 0o666

// OpenToOthers lets a process of another account open its standard streams by name,
// such as /dev/stdin or /dev/stderr. A pipe's only name is in /proc/PID/fd, where the
// kernel checks the pipe's mode. Errors are ignored: a process that cannot do that is
// better than none.
func (s Stdio) OpenToOthers() {
	for _, pipe := range []*os.File{s.In, s.Out, s.Err} {
		pipe.Chmod(ModeForOthers)
	}
}

// WithFD calls f with a holder's descriptor and leaves that non-blocking, in Go's
// poller, as File.Fd would not.
func WithFD(holder syscall.Conn, f func(fd int) error) error {
	raw, err := holder.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// Pollable returns a copy of the file in Go's poller: Close ends its Read, and
// deadlines work.
func Pollable(file syscall.Conn, name string) (*os.File, error) {
	var pollable *os.File
	err := WithFD(file, func(fd int) error {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		if err := unix.SetNonblock(dup, true); err != nil {
			unix.Close(dup)
			return os.NewSyscallError("fcntl", err)
		}
		pollable = os.NewFile(uintptr(dup), name)
		return nil
	})
	return pollable, err
}
