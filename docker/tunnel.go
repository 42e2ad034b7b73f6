package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/printable"
)

// tunnel is an ssh process that forwards a socket.
type tunnel struct {
	up    chan struct{} // closed when ssh has logged in and listens
	ended chan struct{} // closed when it has ended
	over  time.Time     // when it ended; valid once ended is closed
	said  *ending       // the last that it printed

	process *os.Process
	socket  *os.File // the socket itself (O_PATH), so that it needs no name; valid once up is closed
}

// maxWhySSH is how much of ssh's message is shown, in runes.
const maxWhySSH = 300

// sshArgs returns the arguments of a connection that only forwards. Of the box's
// ssh_config only the way to the box is used. A box that is silent for 15 seconds is
// given up.
func sshArgs(forward string) []string {
	args := []string{"-N", "-T", "-L", forward}
	for _, option := range []string{
		"BatchMode=yes", "ExitOnForwardFailure=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3",
		"ControlMaster=no", "ControlPath=none", "ForwardAgent=no", "ForwardX11=no", "RemoteCommand=none", "ClearAllForwardings=no",
		"StreamLocalBindMask=0177", "StreamLocalBindUnlink=yes", "PermitLocalCommand=yes", "LocalCommand=echo up", "LogLevel=INFO",
	} {
		args = append(args, "-o", option)
	}
	return args
}

// startTunnel runs ssh, which creates its socket at path, in the directory dir. Both
// are removed as soon as ssh listens there, or has ended.
func startTunnel(dir, path string, args []string) (*tunnel, error) {
	up, upWriter, err := os.Pipe()
	if err != nil {
		os.Remove(dir)
		return nil, err
	}
	t := &tunnel{up: make(chan struct{}), ended: make(chan struct{}), said: &ending{}}
	command := exec.Command("ssh", args...)
	command.Env = append(os.Environ(), "SHELL=/bin/sh") // which runs LocalCommand
	command.Stdout, command.Stderr = upWriter, t.said
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread that started the process ends
		err := command.Start()
		upWriter.Close()
		t.process = command.Process
		started <- err
		t.follow(up, dir, path)
		if err == nil {
			command.Wait()
		}
		t.socket.Close()
		t.over = time.Now()
		close(t.ended)
	}()
	err = <-started
	if errors.Is(err, exec.ErrNotFound) {
		err = errors.New("there is no ssh command here, by which an engine at ssh:// is reached")
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// follow waits until ssh listens, or has ended, and then removes the socket's name
// and the directory. The socket itself is held open, so nothing is left behind,
// however this program ends.
func (t *tunnel) follow(up *os.File, dir, path string) {
	defer up.Close()
	defer os.RemoveAll(dir)
	if n, _ := up.Read(make([]byte, 16)); n == 0 {
		return
	}
	socket, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		t.process.Signal(syscall.SIGTERM)
		return
	}
	t.socket = socket
	os.RemoveAll(dir) // before anybody goes on, and may end this program
	close(t.up)
}

// dial connects to the socket.
func (t *tunnel) dial(ctx context.Context) (conn net.Conn, err error) {
	open, err := t.socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	gone := open.Control(func(fd uintptr) {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", fd))
	})
	return conn, cmp.Or(gone, err)
}

func (t *tunnel) isOver() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// why returns the last line of ssh's output, once ssh has ended.
func (t *tunnel) why() string {
	if line := t.said.lastLine(); line != "" {
		return printable.Line(line, maxWhySSH)
	}
	return "its connection has ended"
}

// end ends ssh, and returns when it has ended.
func (t *tunnel) end() {
	t.process.Signal(syscall.SIGTERM)
	<-t.ended
}

// ending keeps the end of what is written to it.
type ending struct {
	mu  sync.Mutex
	buf []byte
}

func (e *ending) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buf = append(e.buf, p...)
	e.buf = e.buf[max(0, len(e.buf)-printable.MaxBeginning):]
	return len(p), nil
}

func (e *ending) lastLine() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := strings.TrimSpace(string(e.buf))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
