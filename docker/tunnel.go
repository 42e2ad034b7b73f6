package docker

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/printable"
)

// tunnel is an ssh process that forwards a socket.
type tunnel struct {
	path  string        // of the socket here
	up    chan struct{} // closed when it is logged in and listens
	ended chan struct{} // closed when it has ended
	over  time.Time     // when; to be read then
	said  *ending       // what it printed last

	process *os.Process
}

// maxWhySSH is how much of what ssh says is shown, in runes.
const maxWhySSH = 300

// sshArgs are those of a connection that does nothing but to forward, whatever
// ssh_config says of the host besides how to get there. A box that is silent for 15
// seconds is given up.
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

// startTunnel runs ssh, with its socket in a directory that is removed when it ends.
func startTunnel(dir, path string, args []string) (*tunnel, error) {
	up, upWriter, err := os.Pipe()
	if err != nil {
		os.Remove(dir)
		return nil, err
	}
	t := &tunnel{path: path, up: make(chan struct{}), ended: make(chan struct{}), said: &ending{}}
	command := exec.Command("ssh", args...)
	command.Env = append(os.Environ(), "SHELL=/bin/sh") // which runs LocalCommand
	command.Stdout, command.Stderr = upWriter, t.said
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread ends that has started the process
		err := command.Start()
		upWriter.Close()
		t.process = command.Process
		started <- err
		if err == nil {
			command.Wait()
		}
		os.RemoveAll(dir)
		t.over = time.Now()
		close(t.ended)
	}()
	go func() {
		defer up.Close()
		if n, _ := up.Read(make([]byte, 16)); n > 0 { // ssh is logged in, and listens
			close(t.up)
		}
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

func (t *tunnel) isOver() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// why returns the last line that ssh said, once it has ended.
func (t *tunnel) why() string {
	if line := t.said.lastLine(); line != "" {
		return printable.Line(line, maxWhySSH)
	}
	return "its connection has ended"
}

// end ends ssh, and returns when it has.
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
