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

// Options say how the helper was started.
type Options struct {
	Socket     string // path of the gateway's socket, if that is mounted here
	RemoveSelf bool   // remove the executable, and its directory if that is then empty
	Become     bool   // change to the account that the first line of standard input names
}

// Run is the whole life of a helper. It meets the gateway and answers it until the
// gateway releases the helper. Then it waits for the processes that sessions left
// running.
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

// childControl is the number of the descriptor where a child finds its control
// socket.
const childControl = 3

// RunChild is [Run] for a helper that the gateway starts as its own child. The file
// of [NewPair] must be its first descriptor after the standard streams.
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

// umask returns the umask of every session's processes. Where each person has an
// account of their own, files stay writable for the group.
func umask() int {
	if unix.Access(labels.AccountsMark, unix.F_OK) == nil {
		return 0o002
	}
	return 0o022
}

// RunRC runs the account's rc file, or the machine's, and then replaces this process
// by a command: a path, and the command's arguments with its name first. It returns
// only if that fails.
func RunRC(of []string) error { return machine.RunRC(of[0], of[1:]) }

// live answers until the gateway releases the helper. Then it waits until all
// processes that sessions left running have ended, and reaps them: a container's
// first process may reap nobody.
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
		case <-time.After(time.Second): // in case somebody else has just reaped one
		}
	}
}

// hideMemory forbids the helper's own account to read its memory or to trace it.
// Several people may share that account, and the helper holds bytes and agents of all
// of them. The kernel then writes no core of it either. Programs that the helper
// starts do not inherit this. It must be called only after the gateway has taken a
// descriptor out of this process, since a gateway that is not root needs the same
// permission for that.
func hideMemory() {
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // cannot fail
}

// heedSignals makes sure that people's processes start with SIGHUP and SIGINT at
// their defaults. This process may have inherited both as ignored: nohup starts
// programs so, and a shell those in its background.
func heedSignals() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT)
}

// keepDescriptors marks every inherited descriptor as close-on-exec, so that no
// process of a person gets a descriptor that was left open when the helper was
// started.
func keepDescriptors() {
	unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // needs Linux 5.11; without it they are inherited
}

// answerOpens serves a machine for each connection that the gateway opens, and
// returns when the gateway has released all of them.
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

// met is the helper's way to the gateway: a control socket, or its standard streams
// if control is nil.
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

// meet is the helper's side of a meeting; see the package comment.
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

// come connects to the gateway's socket and sends hello. It fails if the gateway does
// not welcome it, for example because others crowd the socket; the helper then tries
// the next way.
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

// announce prints the number of a socket for the gateway to take. It returns when the
// gateway has taken it, or has answered that no descriptor can cross.
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
		near.Close() // wakes Receive; if the gateway has attached by now, this changes nothing
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

// leaveStreams replaces the standard streams by /dev/null. Their other ends see them
// closed, and no later file gets the numbers 0 to 2.
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
