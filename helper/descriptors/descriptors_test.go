package descriptors

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/machine"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A helper that was paused reads a listen request and its release together, and may
// handle the release first.
func TestAListenerThatIsReleasedBeforeItIsThereIsNotKept(t *testing.T) {
	s := &server{listeners: map[uint32]net.Listener{}, released: map[uint32]bool{}}
	s.release(7)
	if s.keepListener(7, nil) || !s.keepListener(8, nil) {
		t.Error("the wrong one was kept")
	}
}

func TestAHelperThatEndedIsNoticed(t *testing.T) {
	ours, theirs, err := NewPair(messages.MaxReply)
	if err != nil {
		t.Fatal(err)
	}
	m := newRemote(ours)
	theirs.Close()
	if _, err := m.Dial("tcp", "127.0.0.1:1"); err == nil {
		t.Error("a helper that is gone dialled")
	}
	m.Close()
}

// liar answers every request with the files given, whatever was asked.
func liar(t *testing.T, files ...*os.File) machine.Machine {
	t.Helper()
	ours, theirs, err := NewPair(messages.MaxReply)
	if err != nil {
		t.Fatal(err)
	}
	far, err := FileSocket(theirs, messages.MaxRequest)
	if err != nil {
		t.Fatal(err)
	}
	var fds []int
	for _, file := range files {
		fds = append(fds, int(file.Fd()))
	}
	go func() {
		defer far.Close()
		for {
			request, err := far.Receive()
			if err != nil {
				return
			}
			request.Close()
			far.Send(messages.TypeDone, messages.Done{ID: 1}, fds...)
		}
	}()
	m := newRemote(ours)
	t.Cleanup(func() { m.Close() })
	return m
}

// A container sends a descriptor of the wrong kind. The gateway must not read from
// what is no socket, nor take a listener for a connection.
func TestDescriptorsOfTheWrongKindAreRefused(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listening, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	connection, _ := tcpPair(t)
	pty := machine.Command{Kind: machine.Shell, Pty: &machine.Pty{}}
	for name, ask := range map[string]func() error{
		"a file for a connection":     func() error { _, err := liar(t, null).Dial("tcp", "x:1"); return err },
		"a listener for a connection": func() error { _, err := liar(t, listening).Dial("tcp", "x:1"); return err },
		"tcp for a unix socket":       func() error { _, err := liar(t, connection).Dial("unix", "/x"); return err },
		"no address for a listener":   func() error { _, err := liar(t).Listen("tcp", ":0"); return err },
		"a file for a pty":            func() error { _, err := liar(t, null).Start(pty); return err },
		"nothing for a pty":           func() error { _, err := liar(t).Start(pty); return err },
		"nothing for a connection":    func() error { _, err := liar(t).Dial("tcp", "x:1"); return err },
		"two files":                   func() error { _, err := liar(t, null, null).Dial("tcp", "x:1"); return err },
	} {
		if ask() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// tcpPair returns a connection with one end as a file, as it would come from a
// container.
func tcpPair(t *testing.T) (*os.File, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	file, err := near.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file, far
}

// The attack: a container keeps a connection that it handed out, and makes every call
// on it block. With enough of those it would use up all threads of the gateway.
func TestASharedConnectionCannotHoldAThread(t *testing.T) {
	kept, peer := tcpPair(t)
	handed, err := unix.FcntlInt(kept.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := newConn(os.NewFile(uintptr(handed), ""), "tcp")
	if err != nil {
		t.Fatal(err)
	}
	block := func() {
		unix.SetNonblock(int(kept.Fd()), false)
		unix.SetsockoptLinger(int(kept.Fd()), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 60})
	}
	block()
	read := make(chan error)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	conn.SetReadDeadline(time.Now()) // a call that blocks would not notice it
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	wrote := make(chan error)
	go func() {
		_, err := conn.Write(make([]byte, 64<<20)) // more than any buffer takes
		wrote <- err
	}()
	conn.SetWriteDeadline(time.Now().Add(time.Second / 10))
	if err := <-wrote; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	block()
	kept.Close()
	began := time.Now()
	conn.Close()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("close: %v", took)
	}
	peer.Close()
}

// lingering returns a socket whose last close blocks for a minute: it waits for its
// peer to take what was sent, and the peer never does.
func lingering(t *testing.T) int {
	t.Helper()
	file, _ := tcpPair(t)
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	unix.SetNonblock(fd, true)
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 1<<20))
	}
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 60})
	return fd
}

// inAQueue returns one end of a pair of unix sockets; the descriptor waits in its
// queue.
func inAQueue(t *testing.T, fd int) int {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fd), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	unix.Close(pair[0])
	return pair[1]
}

// The attack: a container hands out descriptors whose close blocks, to use up the
// threads of the gateway.
func TestNothingOfAContainersTakesLongToClose(t *testing.T) {
	began := time.Now()
	if _, err := newConn(os.NewFile(uintptr(lingering(t)), ""), "unix"); err == nil {
		t.Error("tcp for a unix socket was taken")
	}
	unread, err := newConn(os.NewFile(uintptr(inAQueue(t, lingering(t))), ""), "unix")
	if err != nil {
		t.Fatal(err)
	}
	unread.Close()
	read, err := newConn(os.NewFile(uintptr(inAQueue(t, lingering(t))), ""), "unix")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(read); string(got) != "x" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	read.Close()
	nested := Packet{Files: []*os.File{os.NewFile(uintptr(inAQueue(t, inAQueue(t, lingering(t)))), "")}}
	nested.Close()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A helper that is stopped reads no more messages. Sending to it fails instead of
// waiting for ever.
func TestAHelperThatReadsNothingHoldsNobody(t *testing.T) {
	ours, theirs, err := NewPair(messages.MaxReply)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	m := newRemote(ours)
	defer m.Close()
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() {
			_, err := m.Dial("unix", strings.Repeat("x", 100<<10))
			failed <- err
		}()
	}
	for range cap(failed) {
		select {
		case err := <-failed:
			if err == nil {
				t.Error("nobody dialled, and it worked")
			}
		case <-time.After(2 * messages.SendTimeout):
			t.Fatal("it waits for ever")
		}
	}
}

func TestAConnectionGoesBothWaysToItsEnd(t *testing.T) {
	file, peer := tcpPair(t)
	dup, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	near, err := newConn(os.NewFile(uintptr(dup), ""), "tcp")
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	sent := bytes.Repeat([]byte("what "), 1<<20)
	go func() {
		io.Copy(peer, peer)
		peer.(*net.TCPConn).CloseWrite()
	}()
	go func() {
		near.Write(sent)
		near.(conn).CloseWrite()
	}()
	if got, err := io.ReadAll(near); !bytes.Equal(got, sent) || err != nil {
		t.Errorf("got %d bytes back, %v", len(got), err)
	}
}

// No message of a container makes the gateway panic.
func FuzzMessagesFromAContainer(f *testing.F) {
	for _, seed := range [][]byte{
		messages.Marshal(messages.TypeDone, messages.Done{ID: 1, Address: "/tmp/x"}),
		messages.Marshal(messages.TypeFailed, messages.Failed{ID: 1, Text: "no"}),
		messages.Marshal(messages.TypeExited, messages.Exited{ID: 1, Request: "exit-status", Payload: "\x00\x00\x00\x00"}),
		messages.Marshal(messages.TypeArrived, messages.Arrived{ID: 1}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		m := &remote{
			calls: map[uint32]chan answer{1: make(chan answer, 1)},
			exits: map[uint32]*machine.Ending{1: machine.NewEnding()},
		}
		if len(message) > 0 {
			m.deliver(Packet{Message: messages.Message{Kind: message[0], Body: message[1:]}})
		}
	})
}

// No message makes a helper panic.
func FuzzMessagesToAHelper(f *testing.F) {
	f.Add(messages.Marshal(messages.TypeStart, messages.NewStart(1, machine.Command{Kind: machine.Exec, Line: "true", Env: []string{"A=b"}})))
	f.Add(messages.Marshal(messages.TypeSignal, messages.Signal{ID: 1, Name: "TERM"}))
	f.Add(messages.Marshal(messages.TypeRelease, messages.Release{ID: 1}))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) == 0 {
			return
		}
		var start messages.Start
		p := Packet{Message: messages.Message{Kind: message[0], Body: message[1:]}}
		if p.As(messages.TypeStart, &start) == nil {
			again := messages.NewStart(start.ID, start.Command())
			if start.Pty == again.Pty && start.Line != again.Line {
				t.Errorf("%+v became %+v", start, again)
			}
			return // it would be executed
		}
		s := &server{processes: map[uint32]*machine.Child{}, listeners: map[uint32]net.Listener{}, released: map[uint32]bool{}}
		if p.Kind == messages.TypeSignal || p.Kind == messages.TypeRelease {
			s.answer(p)
		}
	})
}
