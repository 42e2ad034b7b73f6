package machine

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stdio are one side's ends of a process's standard streams.
type Stdio struct {
	In, Out, Err *os.File
}

// NewPipes makes the three pipes of a process without a pty. They are made on
// this side, so whoever starts the process gets descriptors and gives none back
// whose kind or flags it could choose.
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

// pipeSize makes a busy stream cost few wake-ups.
const pipeSize = 512 << 10

// newPipe makes a pipe, big enough that a busy stream costs few wake-ups.
// Whoever has used up what an ordinary user may have of those gets a small one.
func newPipe() (read, write *os.File, err error) {
	read, write, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	Enlarge(write)
	return read, write, nil
}

// Enlarge makes a pipe as big as those of [NewPipes], if it is one and that is
// allowed.
func Enlarge(pipe *os.File) {
	WithFD(pipe, func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize)
		return err
	})
}

// Close closes those that there are.
func (s Stdio) Close() {
	for _, file := range []*os.File{s.In, s.Out, s.Err} {
		if file != nil {
			file.Close()
		}
	}
}

// ModeForOthers is the mode of pipes that a process of another account has.
const ModeForOthers = 0o666

// OpenToOthers lets a process of another account than ours open its standard streams anew,
// as /dev/stdin or /dev/stderr. A pipe has no name but in /proc/PID/fd of those who have
// it open, where the kernel lets nobody else in. A process that cannot is better than none.
func (s Stdio) OpenToOthers() {
	for _, pipe := range []*os.File{s.In, s.Out, s.Err} {
		pipe.Chmod(ModeForOthers)
	}
}

// WithFD calls f with a descriptor and leaves it in the poller, as File.Fd
// would not.
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

// Pollable is the same file again, with a descriptor of its own, in the poller:
// Close ends its Read, and a deadline is heard of.
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
