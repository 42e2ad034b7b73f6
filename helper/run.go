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

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/helper/streams"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"

	"golang.org/x/sys/unix"
)

// Options are how the helper was started.
type Options struct {
	Socket     string // the gateway's, if that is mounted here
	RemoveSelf bool   // remove the own executable, and the directory that holds nothing else
	Become     bool   // be the account that the first line of standard input names
}

// Run is the helper's life: it meets the gateway, then answers until the gateway
// lets go, and stays for what its sessions left running.
func Run(o Options) error {
	if o.RemoveSelf {
		removeExecutable()
	}
	keepDescriptors()
	if o.Become {
		if err := becomeAsked(os.Stdin); err != nil {
			return err
		}
	}
	raiseOpenFiles()
	in, err := machine.Pollable(os.Stdin, "stdin")
	if err != nil {
		return err
	}
	out, err := machine.Pollable(os.Stdout, "stdout")
	if err != nil {
		return err
	}
	met, err := meet(in, out, o.Socket)
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
	control, err := descriptors.FileSocket(os.NewFile(childControl, "control"), messages.MaxRequest)
	if err != nil {
		return err
	}
	if err := leaveStreams(); err != nil {
		return err
	}
	live(func(on *machine.Local) { answerOpens(control, on) })
	return nil
}

// umask returns that of every process: where each person has an account, what one
// writes is for the group.
func umask() int {
	if unix.Access(labels.AccountsMark, unix.F_OK) == nil {
		return 0o002
	}
	return 0o022
}

// RunRC runs the account's rc, or the machine's, and then becomes the command that its
// arguments are: a program, and the arguments of that with its name. It returns only if
// that fails.
func RunRC(of []string) error { return machine.RunRC(of[0], of[1:]) }

// live answers until the gateway lets go, and then stays as the parent of what
// sessions left running: a container's first process may reap nobody.
func live(answer func(*machine.Local)) {
	hideMemory()
	unix.Umask(umask())
	heedSignals()
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	local := &machine.Local{
		Account:    machine.CurrentAccount,
		Env:        os.Environ(),
		SftpServer: []string{SelfPath, "helper", "sftp"},
		RC:         []string{SelfPath, "helper", "rc"},
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

// hideMemory keeps the account that the helper runs as, which may be several
// people's, from reading its memory and from tracing it: there are bytes and
// agents of all of them in it. The kernel writes no core of it either. It is not
// inherited by programs that are started, and comes after the gateway has taken a
// descriptor out of here, for which a gateway that is not root needs no less.
func hideMemory() {
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // cannot fail
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
func answerOpens(control *descriptors.Socket, on *machine.Local) {
	var serving sync.WaitGroup
	defer serving.Wait()
	defer control.Close()
	defer retire(control)()
	for {
		opened, err := control.Receive()
		if err != nil {
			return
		}
		if opened.Kind != messages.TypeOpen || len(opened.Files) != 1 {
			opened.Close()
			continue
		}
		serving.Go(func() { descriptors.Serve(opened.Files[0], on) })
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
	control *descriptors.Socket

	standard streams.Standard
}

func (m met) answer(on *machine.Local) {
	if m.control != nil {
		answerOpens(m.control, on)
		return
	}
	streams.Serve(m.standard, on)
}

// meet is the helper's side of the meeting; see the package comment.
func meet(stdin io.ReadCloser, out io.WriteCloser, gatewaySocket string) (met, error) {
	in := bufio.NewReaderSize(stdin, standardBuffer)
	nonce, err := in.ReadString('\n')
	if err != nil {
		return met{}, fmt.Errorf("no nonce on standard input: %w", err)
	}
	hello := messages.NewHello(strings.TrimSpace(nonce))
	if control, err := come(gatewaySocket, hello); err == nil {
		_, err := fmt.Fprintf(out, "%s %s\n", announcement, came)
		return met{control: control}, err
	}
	closeBoth := func() {
		stdin.Close()
		out.Close()
	}
	return announce(streams.Standard{Reader: in, Writer: out, OnClose: closeBoth}, hello)
}

// come goes to the gateway's socket. Where nobody says welcome, as when others
// crowd in there, another way is left.
func come(gatewaySocket string, hello messages.Hello) (*descriptors.Socket, error) {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: gatewaySocket})
	if err != nil {
		return nil, err
	}
	control := descriptors.NewSocket(conn, messages.MaxRequest)
	if err := errors.Join(control.Send(messages.TypeHello, hello), awaitWelcome(control)); err != nil {
		control.Close()
		return nil, err
	}
	return control, nil
}

func awaitWelcome(at *descriptors.Socket) error {
	packet, err := at.ReceiveWithin(meetTimeout)
	if err != nil {
		return err
	}
	defer packet.Close()
	if packet.Kind != messages.TypeWelcome {
		return errors.New("the gateway answers with something else")
	}
	return nil
}

// announce offers a socket to be taken, and waits until that is done, or a
// line says that it cannot be.
func announce(standard streams.Standard, hello messages.Hello) (met, error) {
	near, far, err := descriptors.NewPair(messages.MaxRequest)
	if err != nil {
		return met{}, err
	}
	defer near.Close()
	defer far.Close()
	inode, err := inodeOf(int(far.Fd()))
	if err != nil {
		return met{}, err
	}
	if _, err := fmt.Fprintf(standard, "%s %d %d %v\n", announcement, far.Fd(), inode, messages.Current()); err != nil {
		return met{}, err
	}
	answered := make(chan string, 1)
	go func() {
		line := make([]byte, len(askStreams))
		io.ReadFull(standard, line)
		answered <- string(line)
		near.Close() // or it is attached by now, and this changes nothing
	}()
	attached, err := near.Receive()
	if err != nil {
		if <-answered == askStreams {
			return met{standard: standard}, nil
		}
		return met{}, errors.New("the gateway went away")
	}
	if attached.Kind != messages.TypeAttach || len(attached.Files) != 1 {
		attached.Close()
		return met{}, errors.New("the gateway sent no control socket")
	}
	control, err := descriptors.FileSocket(attached.Files[0], messages.MaxRequest)
	if err != nil {
		return met{}, err
	}
	return met{control: control}, control.Send(messages.TypeHello, hello)
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
