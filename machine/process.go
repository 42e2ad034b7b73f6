package machine

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/sys/unix"
)

// startProcess starts a process as the leader of a new session, and waits for its end
// in the background.
func (c *children) startProcess(path string, argv []string, attr *os.ProcAttr) (*Child, error) {
	started, err := c.start(path, argv, attr)
	if err != nil {
		return nil, err
	}
	pidfd := pidfdOf(started)
	ending := NewEnding()
	leader := &leader{process: started}
	go func() {
		defer ending.Tell(nil)
		awaitExit(pidfd)
		if status, ok := leader.reap(); ok {
			exit := exitOf(status)
			ending.Tell(&exit)
		}
		c.reaped(started.Pid) // may wait until a start is over
	}()
	return &Child{Ending: ending, Signal: leader.signal}, nil
}

// pidfdOf returns a pidfd of a process; -1 if there is none, as with old or emulated
// kernels.
func pidfdOf(process *os.Process) int {
	pidfd := -1
	process.WithHandle(func(handle uintptr) {
		if own, err := unix.FcntlInt(handle, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			pidfd = own
		}
	})
	return pidfd
}

// awaitExit waits in Go's poller, since a blocked thread for each process would count
// against a container's limit of pids.
func awaitExit(pidfd int) {
	if pidfd < 0 { // Wait blocks instead
		return
	}
	unix.SetNonblock(pidfd, true)
	file := os.NewFile(uintptr(pidfd), "pidfd")
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	raw.Read(func(fd uintptr) bool {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(polled, 0)
		return n != 0
	})
}

// leader is a process that can be signalled only as long as its pid is its own.
type leader struct {
	process *os.Process

	mu     sync.Mutex
	reaped bool
}

func (l *leader) reap() (syscall.WaitStatus, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reaped = true
	state, err := l.process.Wait()
	if err != nil {
		return 0, false
	}
	return state.Sys().(syscall.WaitStatus), true
}

func (l *leader) signal(name string) error {
	number := unix.SignalNum("SIG" + name)
	if number == 0 {
		return fmt.Errorf("unknown signal %q", name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reaped {
		return os.ErrProcessDone
	}
	err := unix.Kill(-l.process.Pid, number)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func exitOf(status syscall.WaitStatus) sshconn.Exit {
	if status.Signaled() {
		return sshconn.ExitSignal(signalName(status.Signal()), status.CoreDump())
	}
	return sshconn.ExitStatus(status.ExitStatus())
}

// signalName returns the name of a signal in RFC 4254, or OpenSSH's name for one that
// the RFC does not have.
func signalName(signal syscall.Signal) string {
	switch name := strings.TrimPrefix(unix.SignalName(signal), "SIG"); name {
	case "ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2":
		return name
	default:
		return "SIG@openssh.com"
	}
}
