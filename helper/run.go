package helper

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"berth/session"

	"golang.org/x/sys/unix"
)

// announcement is what a helper prints first, before the number of the
// descriptor to take.
const announcement = "berth-helper"

// Run is the helper's life: it meets the gateway over its standard streams,
// then answers until the gateway lets go of the control socket. With
// removeSelf, it removes its own executable and the directory that holds
// nothing else, so that nothing stays behind.
func Run(removeSelf bool) error {
	if removeSelf {
		removeExecutable()
	}
	keepDescriptors()
	control, err := meet(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	return live(control)
}

// childControl is the descriptor that a child finds its control socket at.
const childControl = 3

// RunChild is the life of a helper that the gateway started as its child, with
// the file of [NewPair] as the first after the standard streams.
func RunChild() error {
	keepDescriptors()
	control, err := newSocket(os.NewFile(childControl, "control"), maxRequest)
	if err != nil {
		return err
	}
	return live(control)
}

// live answers until the gateway is done with us, or gone.
func live(control *socket) error {
	unix.Umask(0o022)
	heedSignals()
	if err := leaveStreams(); err != nil {
		return err
	}
	answerOpens(control, &session.Local{
		Account:    session.CurrentAccount(),
		Env:        os.Environ(),
		SftpServer: []string{"/proc/self/exe", "helper", "sftp"},
	})
	return nil
}

// heedSignals gives people's processes the signals back that whoever started
// the gateway may ignore: nohup does, and a shell that starts something in the
// background.
func heedSignals() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT)
}

// keepDescriptors lets no process of a person inherit what whoever started us
// left open.
func keepDescriptors() {
	unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // needs Linux 5.11; without it they are inherited
}

// answerOpens opens a machine for each connection that the gateway opens.
func answerOpens(control *socket, machine session.Machine) {
	defer control.Close()
	for {
		opened, err := control.receive()
		if err != nil {
			return
		}
		if opened.kind != typeOpen || len(opened.files) != 1 {
			opened.close()
			continue
		}
		go serve(opened.files[0], machine)
	}
}

func removeExecutable() {
	path, err := os.Readlink("/proc/self/exe")
	if err == nil {
		os.Remove(path)
		os.Remove(filepath.Dir(path))
	}
}

// meet is the helper's side of the meeting; see the package comment.
func meet(in io.Reader, out io.Writer) (*socket, error) {
	nonce, err := bufio.NewReader(io.LimitReader(in, 256)).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("no nonce on standard input: %w", err)
	}
	near, far, err := newPair(maxRequest)
	if err != nil {
		return nil, err
	}
	defer near.Close()
	defer far.Close()
	if _, err := fmt.Fprintf(out, "%s %d\n", announcement, far.Fd()); err != nil {
		return nil, err
	}
	attached, err := near.receive()
	if err != nil {
		return nil, err
	}
	if attached.kind != typeAttach || len(attached.files) != 1 {
		attached.close()
		return nil, errors.New("the gateway sent no control socket")
	}
	control, err := newSocket(attached.files[0], maxRequest)
	if err != nil {
		return nil, err
	}
	return control, control.send(typeHello, helloMessage{Version, strings.TrimSpace(nonce)})
}

// leaveStreams closes the standard streams for everyone at the other end, and
// keeps their numbers taken.
func leaveStreams() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	return nil
}
