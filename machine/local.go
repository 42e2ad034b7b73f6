package machine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout is how long a connect may take; clients give up after that time, too.
const dialTimeout = 30 * time.Second

// Local is the machine on which this program runs, with the account that runs it.
type Local struct {
	Account func() Account // the present account: its shell may change at any time
	Env     []string       // inherited by every process: a container's own environment

	// SftpServer is the command for the sftp subsystem if the machine has no
	// sftp-server.
	SftpServer []string

	// RC is a command that calls [RunRC] with its additional arguments. Commands with
	// UserRC need it.
	RC []string

	children children
}

// Close does nothing: what Local opens belongs to its caller.
func (l *Local) Close() error { return nil }

// Done returns nil: this machine cannot be gone while this program runs.
func (l *Local) Done() <-chan struct{} { return nil }

// Dial connects to an address from this machine.
func (l *Local) Dial(network, address string) (net.Conn, error) {
	return net.DialTimeout(network, address, dialTimeout)
}

// Start runs a command; see [Machine].
func (l *Local) Start(command Command) (*Process, error) {
	if command.Pty != nil {
		child, err := l.Spawn(command, Stdio{})
		if err != nil {
			return nil, err
		}
		return OnPty(child), nil
	}
	ours, theirs, err := NewPipes()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	child, err := l.Spawn(command, theirs)
	if err != nil {
		ours.Close()
		return nil, err
	}
	return OnPipes(child, ours), nil
}

// Child is a process that was started, without copies of its streams.
type Child struct {
	Pty    *os.File // the master, which the caller must close; nil without a pty
	Ending *Ending
	Signal func(name string) error
}

// Spawn starts a command. Without a pty its standard streams are the given files,
// which Spawn does not close; with one they are the pty's slave.
func (l *Local) Spawn(command Command, stdio Stdio) (*Child, error) {
	account := l.Account()
	path, argv, err := l.argv(account, command)
	if err != nil {
		return nil, err
	}
	if command.UserRC && command.Kind != Subsystem {
		path, argv = l.afterRC(account, path, argv)
	}
	attr := &os.ProcAttr{
		Dir:   account.Home,
		Env:   l.environ(account, command),
		Files: []*os.File{stdio.In, stdio.Out, stdio.Err},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	var master *os.File
	if command.Pty != nil {
		var slave *os.File
		if master, slave, err = openPty(*command.Pty); err != nil {
			return nil, err
		}
		defer slave.Close()
		attr.Files = []*os.File{slave, slave, slave}
		attr.Sys.Setctty = true
		attr.Env = mergeEnv(attr.Env, command.Pty.env(slave))
	}
	if err := enterable(attr.Dir); err != nil {
		fmt.Fprintf(attr.Files[2], "Could not chdir to home directory %s: %s\n", attr.Dir, inWords(err))
		attr.Dir = "/"
	}
	child, err := l.children.startProcess(path, argv, attr)
	if err != nil {
		if master != nil {
			master.Close()
		}
		return nil, startError(path, err)
	}
	child.Pty = master
	return child, nil
}

// enterable returns why a process cannot be started in a directory, or nil if it can.
func enterable(dir string) error {
	found, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !found.IsDir():
		return syscall.ENOTDIR
	default:
		return unix.Access(dir, unix.X_OK)
	}
}

// inWords returns an error in the words of the C library, which begin with a capital.
func inWords(err error) string {
	number, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return err.Error()
	}
	text := number.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

func startError(path string, err error) error {
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		err = pathErr.Err
	}
	if errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("there is no %s here to run commands with", path)
	}
	return fmt.Errorf("%s: %s", path, inWords(err))
}

// argv returns the command that sshd would run: a login shell, the shell with -c, or
// the program of a subsystem.
func (l *Local) argv(account Account, command Command) (path string, argv []string, err error) {
	shell := account.Shell
	name := filepath.Base(shell)
	switch command.Kind {
	case Shell:
		return shell, []string{"-" + name}, nil
	case Exec:
		return shell, []string{name, "-c", command.Line}, nil
	case Subsystem:
		argv, err := l.subsystem(command.Line)
		if err != nil {
			return "", nil, err
		}
		return argv[0], argv, nil
	default:
		return "", nil, fmt.Errorf("unknown kind of command %q", command.Kind)
	}
}

// subsystem returns the command of a subsystem.
func (l *Local) subsystem(name string) (argv []string, err error) {
	limits, isSftp := ParseSftp(name)
	switch {
	case !isSftp:
		return nil, fmt.Errorf("unknown subsystem %q", name)
	case limits == SftpLimits{}:
		return l.sftpServer(), nil
	}
	return slices.Concat(l.SftpServer, limits.args()), nil
}

// sftpServer returns the machine's own sftp-server if there is one, which knows more
// extensions.
func (l *Local) sftpServer() []string {
	for _, path := range []string{
		"/usr/lib/openssh/sftp-server",
		"/usr/libexec/openssh/sftp-server",
		"/usr/lib/ssh/sftp-server",
		"/usr/libexec/sftp-server",
	} {
		if unix.Access(path, unix.X_OK) == nil {
			return []string{path}
		}
	}
	return l.SftpServer
}
