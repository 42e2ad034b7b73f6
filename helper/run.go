package helper

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"berth/machine"

	"golang.org/x/sys/unix"
)

// Run is the helper's life: it meets the gateway, in the socket if that is not
// empty and can be reached, then answers until the gateway lets go, and stays
// for what its sessions left running. With removeSelf, it removes its own
// executable and the directory that holds nothing else.
func Run(gatewaySocket string, removeSelf bool) error {
	if removeSelf {
		removeExecutable()
	}
	keepDescriptors()
	in, err := machine.Pollable(os.Stdin, "stdin")
	if err != nil {
		return err
	}
	out, err := machine.Pollable(os.Stdout, "stdout")
	if err != nil {
		return err
	}
	met, err := meet(in, out, gatewaySocket)
	if err != nil {
		return err
	}
	if met.control == nil {
		machine.Enlarge(in)
		machine.Enlarge(out)
	} else {
		in.Close()
		out.Close()
		if err := leaveStreams(); err != nil {
			return err
		}
	}
	live(met.answer)
	return nil
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
	if err := leaveStreams(); err != nil {
		return err
	}
	live(func(on *machine.Local) { answerOpens(control, on) })
	return nil
}

// live answers until the gateway lets go, and then stays as the parent of what
// sessions left running: a container's first process may reap nobody.
func live(answer func(*machine.Local)) {
	unix.Umask(0o022)
	heedSignals()
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	local := &machine.Local{
		Account:    machine.CurrentAccount(),
		Env:        os.Environ(),
		SftpServer: []string{"/proc/self/exe", "helper", "sftp"},
	}
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	letGo := make(chan struct{})
	go func() {
		defer close(letGo)
		answer(local)
	}()
	for answering := true; answering; {
		select {
		case <-died:
			local.ReapOrphans()
		case <-letGo:
			answering = false
		}
	}
	leaveStreams()
	for local.ReapOrphans() > 0 {
		select {
		case <-died:
		case <-time.After(time.Second): // one that somebody else here has just reaped
		}
	}
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

// answerOpens opens a machine for each connection that the gateway opens, and
// returns when the gateway has let go of all.
func answerOpens(control *socket, on *machine.Local) {
	var serving sync.WaitGroup
	defer serving.Wait()
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
		serving.Go(func() { serve(opened.files[0], on) })
	}
}

func removeExecutable() {
	path, err := os.Readlink("/proc/self/exe")
	if err == nil {
		os.Remove(path)
		os.Remove(filepath.Dir(path))
	}
}

// met is what the helper speaks to the gateway by: a socket, or its standard
// streams.
type met struct {
	control *socket

	streams standard
}

func (m met) answer(on *machine.Local) {
	if m.control != nil {
		answerOpens(m.control, on)
		return
	}
	serveStreams(m.streams, on)
}

// meet is the helper's side of the meeting; see the package comment.
func meet(stdin io.ReadCloser, out io.WriteCloser, gatewaySocket string) (met, error) {
	in := bufio.NewReaderSize(stdin, standardBuffer)
	nonce, err := in.ReadString('\n')
	if err != nil {
		return met{}, fmt.Errorf("no nonce on standard input: %w", err)
	}
	hello := newHello(strings.TrimSpace(nonce))
	if control, err := come(gatewaySocket, hello); err == nil {
		_, err := fmt.Fprintf(out, "%s %s\n", announcement, came)
		return met{control: control}, err
	}
	closeBoth := func() {
		stdin.Close()
		out.Close()
	}
	return announce(standard{in, out, closeBoth}, hello)
}

// come goes to the gateway's socket. Where nobody says welcome, as when others
// crowd in there, another way is left.
func come(gatewaySocket string, hello helloMessage) (*socket, error) {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: gatewaySocket})
	if err != nil {
		return nil, err
	}
	control := &socket{conn: conn, buf: make([]byte, maxRequest)}
	if err := errors.Join(control.send(typeHello, hello), control.awaitWelcome()); err != nil {
		control.Close()
		return nil, err
	}
	return control, nil
}

func (s *socket) awaitWelcome() error {
	s.conn.SetReadDeadline(time.Now().Add(meetTimeout))
	defer s.conn.SetReadDeadline(time.Time{})
	packet, err := s.receive()
	if err != nil {
		return err
	}
	defer packet.close()
	if packet.kind != typeWelcome {
		return errors.New("the gateway answers with something else")
	}
	return nil
}

// announce offers a socket to be taken, and waits until that is done, or a
// line says that it cannot be.
func announce(streams standard, hello helloMessage) (met, error) {
	near, far, err := newPair(maxRequest)
	if err != nil {
		return met{}, err
	}
	defer near.Close()
	defer far.Close()
	inode, err := inodeOf(int(far.Fd()))
	if err != nil {
		return met{}, err
	}
	if _, err := fmt.Fprintf(streams, "%s %d %d %v\n", announcement, far.Fd(), inode, version{Major, Minor}); err != nil {
		return met{}, err
	}
	answered := make(chan string, 1)
	go func() {
		line := make([]byte, len(askStreams))
		io.ReadFull(streams, line)
		answered <- string(line)
		near.Close() // or it is attached by now, and this changes nothing
	}()
	attached, err := near.receive()
	if err != nil {
		if <-answered == askStreams {
			return met{streams: streams}, nil
		}
		return met{}, errors.New("the gateway went away")
	}
	if attached.kind != typeAttach || len(attached.files) != 1 {
		attached.close()
		return met{}, errors.New("the gateway sent no control socket")
	}
	control, err := newSocket(attached.files[0], maxRequest)
	if err != nil {
		return met{}, err
	}
	return met{control: control}, control.send(typeHello, hello)
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
