package helper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/machine"
	"berth/sshconn"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meetInProcess is both sides of a helper, joined as in a container, but by
// this process's own descriptors: on the socket of the meetings if there are
// any, else on one that is taken if pid is not nil, else on the streams.
func meetInProcess(t *testing.T, meetings *Meetings, socket string, pid func() (int, error)) *Client {
	t.Helper()
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		met, err := meet(inRead, outWrite, socket)
		if err == nil {
			met.answer(testMachine(t))
		}
		outWrite.Close()
	}()
	client, err := meetings.Meet(Started{In: inWrite, Out: outRead, PID: pid, Close: func() {
		inWrite.Close()
		outRead.Close()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		<-ended
	})
	return client
}

func ownPID() (int, error) { return os.Getpid(), nil }

func testMachine(t *testing.T) *machine.Local {
	account := machine.CurrentAccount()
	account.Shell, account.Home = "/bin/sh", t.TempDir()
	return &machine.Local{Account: account, Env: os.Environ()}
}

// byEachWay tries what a machine does, by descriptors and by streams.
func byEachWay(t *testing.T, try func(*testing.T, machine.Machine)) {
	for name, pid := range map[string]func() (int, error){"descriptors": ownPID, "streams": nil} {
		t.Run(name, func(t *testing.T) {
			client := meetInProcess(t, nil, "", pid)
			if byStreams := client.WhyStreams() != nil; byStreams != (pid == nil) {
				t.Fatalf("by streams: %v", byStreams)
			}
			try(t, openMachine(t, client))
		})
	}
}

func openMachine(t *testing.T, client *Client) machine.Machine {
	t.Helper()
	opened, err := client.Machine()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened
}

func newMeetings(t *testing.T) (m *Meetings, socket string) {
	t.Helper()
	dir := t.TempDir()
	m, err := NewMeetings(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, filepath.Join(dir, m.Name())
}

func TestAHelperComesToTheGatewaysSocket(t *testing.T) {
	meetings, socket := newMeetings(t)
	never := func() (int, error) {
		t.Error("a descriptor is taken although the helper came")
		return 0, errors.New("no")
	}
	opened, err := meetInProcess(t, meetings, socket, never).Machine()
	if err != nil {
		t.Fatal(opened, err)
	}
	defer opened.Close()
	if _, err := opened.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
}

// The socket is there for every account of every container.
func TestNobodyIsMetWhoWasNotStarted(t *testing.T) {
	meetings, socket := newMeetings(t)
	arrived, forget := meetings.expect("nonce")
	defer forget()
	for name, hello := range map[string]helloMessage{
		"a guess":         newHello("guess"),
		"no nonce":        newHello(""),
		"another version": {Major: Major + 1, Nonce: "nonce"},
	} {
		if control, err := come(socket, hello); err == nil {
			control.Close()
			t.Errorf("%s is welcome", name)
		}
	}
	select {
	case <-arrived:
		t.Error("one of them was met")
	default:
	}
}

func TestANonceIsGoodForOne(t *testing.T) {
	meetings, socket := newMeetings(t)
	arrived, forget := meetings.expect("nonce")
	defer forget()
	first, err := come(socket, newHello("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	defer (<-arrived).Close()
	if second, err := come(socket, newHello("nonce")); err == nil {
		second.Close()
		t.Error("a second one is welcome")
	}
}

// Accounts of other containers that crowd in at the socket, and say nothing,
// do not keep a helper out: it takes another way.
func TestACrowdAtTheSocketKeepsNobodyOut(t *testing.T) {
	meetings, socket := newMeetings(t)
	for range 2 * maxCallers {
		silent, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: socket})
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	opened, err := meetInProcess(t, meetings, socket, ownPID).Machine()
	if err != nil {
		t.Fatal(opened, err)
	}
	opened.Close()
}

func TestAProcessRuns(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		process, err := on.Start(machine.Command{
			Kind: machine.Exec, Line: `echo "$GREETING"; exit 7`, Env: []string{"GREETING=hello"},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer process.Close()
		out, err := io.ReadAll(process.Stdout)
		if string(out) != "hello\n" || err != nil {
			t.Errorf("said %q, %v", out, err)
		}
		if exit := <-process.Exit; exit.Request != "exit-status" || string(exit.Payload) != "\x00\x00\x00\x07" {
			t.Errorf("ended with %q", exit)
		}
	})
}

func TestAPtyHangsUpWithItsMaster(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		hungUp := filepath.Join(t.TempDir(), "hung-up")
		process, err := on.Start(machine.Command{
			Kind: machine.Exec, Line: "trap 'touch " + hungUp + "; exit' HUP; stty size; sleep 60 & wait",
			Pty: &machine.Pty{Term: "xterm", Size: machine.Size{Columns: 91, Rows: 17}},
		})
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 64)
		if n, err := process.Stdout.Read(line); !strings.HasPrefix(string(line[:n]), "17 91") {
			t.Errorf("size is %q, %v", line[:n], err)
		}
		process.Close()
		eventually(t, "its command is told (SIGHUP)", func() bool {
			_, err := os.Stat(hungUp)
			return err == nil
		})
	})
}

func TestSignalsReachTheProcess(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		process, err := on.Start(machine.Command{
			Kind: machine.Exec, Line: "sleep 60", Pty: &machine.Pty{},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer process.Close()
		if err := process.Signal("TERM"); err != nil {
			t.Fatal(err)
		}
		if exit := <-process.Exit; exit.Request != "exit-signal" || !strings.Contains(string(exit.Payload), "TERM") {
			t.Errorf("ended with %q", exit)
		}
	})
}

func TestDialAndListenAreTheMachines(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		for _, network := range []string{"tcp", "unix"} {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			listener, err := on.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := on.Dial(network, listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn.Write([]byte("ping"))
			conn.Close()
			if got, err := io.ReadAll(accepted); string(got) != "ping" {
				t.Errorf("%s: got %q, %v", network, got, err)
			}
			accepted.Close()
			listener.Close()
		}
		if _, err := on.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("nobody there: %v", err)
		}
	})
}

func TestTheAgentsSocketIsPrivateAndGoesAway(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		listener, err := on.Listen("unix", "")
		if err != nil {
			t.Fatal(err)
		}
		path := listener.Addr().String()
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("its directory: %v, %v", info, err)
		}
		listener.Close()
		eventually(t, "the socket's directory is removed", func() bool {
			_, err := os.Stat(filepath.Dir(path))
			return errors.Is(err, os.ErrNotExist)
		})
	})
}

func TestClosingAMachineRemovesItsSockets(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		path := filepath.Join(t.TempDir(), "socket")
		if _, err := on.Listen("unix", path); err != nil {
			t.Fatal(err)
		}
		on.Close()
		eventually(t, "the socket is removed", func() bool {
			_, err := os.Stat(path)
			return errors.Is(err, os.ErrNotExist)
		})
	})
}

// A helper that was paused reads a listen and its release at once, and may
// come to the release first.
func TestAListenerThatIsReleasedBeforeItIsThereIsNotKept(t *testing.T) {
	s := &server{listeners: map[uint32]net.Listener{}, released: map[uint32]bool{}}
	s.release(7)
	if s.keepListener(7, nil) || !s.keepListener(8, nil) {
		t.Error("the wrong one was kept")
	}
}

func TestAHelperThatEndedIsNoticed(t *testing.T) {
	ours, theirs, err := newPair(maxReply)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(ours)
	theirs.Close()
	if _, err := m.Dial("tcp", "127.0.0.1:1"); err == nil {
		t.Error("a helper that is gone dialled")
	}
	m.Close()
}

// A meeting is with the process that was started, not with one that took its
// number or its place.
func TestAnImpostorIsNotMet(t *testing.T) {
	for name, hello := range map[string]helloMessage{
		"another nonce":   newHello("guessed"),
		"no nonce":        newHello(""),
		"another version": {Major: Major + 1, Nonce: "nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			near, far, err := newPair(maxRequest)
			if err != nil {
				t.Fatal(err)
			}
			defer near.Close()
			go func() {
				attached, err := near.receive()
				if err != nil {
					return
				}
				control, err := newSocket(attached.files[0], maxRequest)
				if err != nil {
					return
				}
				control.send(typeHello, hello)
				control.Close()
			}()
			if client, err := attach(far, "nonce"); err == nil {
				client.Close()
				t.Error("met an impostor")
			}
		})
	}
}

// A process may announce any descriptor it has: a file, a listening socket.
func TestOnlyASocketOfTheRightKindIsAttached(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attach(file, "nonce"); err == nil {
		t.Error("a file was taken for a helper")
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	if _, err := attach(os.NewFile(uintptr(fds[0]), ""), "nonce"); err == nil {
		t.Error("a stream socket was taken for a helper")
	}
}

// liar answers every request with the files given, whatever was asked.
func liar(t *testing.T, files ...*os.File) machine.Machine {
	t.Helper()
	ours, theirs, err := newPair(maxReply)
	if err != nil {
		t.Fatal(err)
	}
	far, err := newSocket(theirs, maxRequest)
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
			request, err := far.receive()
			if err != nil {
				return
			}
			request.close()
			far.send(typeDone, doneMessage{ID: 1}, fds...)
		}
	}()
	m := newMachine(ours)
	t.Cleanup(func() { m.Close() })
	return m
}

// A container that lies about a descriptor must not get the gateway to read
// what is not a socket, or to take a listener for a connection.
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

// tcpPair is a connection whose one end is a file, as it comes from a container.
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

// A container that keeps a connection it handed out can make it wait in every
// call, and with enough of them use up the threads that a gateway may have.
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
	conn.SetReadDeadline(time.Now()) // which a call that waits would not hear of
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	wrote := make(chan error)
	go func() {
		_, err := conn.Write(make([]byte, 64<<20)) // more than anybody buffers
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

// lingering is a connection whose close waits for a minute, if it is the last:
// nobody takes what it has sent.
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

// inAQueue is one end of two unix sockets, in whose queue the descriptor lies.
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

// A container that hands out what takes long to close could have the gateway
// spend its threads on that.
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
	nested := packet{files: []*os.File{os.NewFile(uintptr(inAQueue(t, inAQueue(t, lingering(t)))), "")}}
	nested.close()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A helper that is stopped takes no more messages: whoever sends one is told.
func TestAHelperThatReadsNothingHoldsNobody(t *testing.T) {
	ours, theirs, err := newPair(maxReply)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	m := newMachine(ours)
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
		case <-time.After(2 * sendTimeout):
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

func TestWhatAHelperSaysIsPrintable(t *testing.T) {
	if got := printable("no\x1b[2J\nway\x00" + strings.Repeat("x", 2*maxText)); strings.ContainsAny(got, "\x1b\n\x00") || len(got) > maxText {
		t.Errorf("got %q", got)
	}
}

func frame(kind byte, flags uint16, body string) string {
	header := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	header = binary.BigEndian.AppendUint32(header, 1)
	return string(binary.BigEndian.AppendUint32(header, uint32(len(body)))) + body
}

// A container that asks for signs of life without end, or opens streams that
// nobody wants, has each cost the gateway something.
func TestAContainerCannotFloodItsStreams(t *testing.T) {
	data, ping := frame(0, 0, strings.Repeat(frame(0, flagSYN, ""), 10)), frame(framePing, flagSYN, "")
	for name, c := range map[string]struct {
		sent string
		want error
	}{
		"data":                {strings.Repeat(data, 100), nil},
		"answers":             {strings.Repeat(frame(framePing, 2, ""), 100), nil},
		"a ping now and then": {strings.Repeat(data+ping, maxPings), nil},
		"pings without end":   {strings.Repeat(data+ping, maxPings+1), errPings},
		"a stream":            {data + frame(1, flagSYN, ""), errOpens},
		"a stream with data":  {data + frame(0, flagSYN, "x"), errOpens},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			got, err := io.ReadAll(&frames{Reader: &slowReader{strings.NewReader(c.sent), size}})
			if !errors.Is(err, c.want) || c.want == nil && string(got) != c.sent {
				t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(c.sent), err)
			}
		}
	}
}

// slowReader reads so many bytes at a time.
type slowReader struct {
	io.Reader
	size int
}

func (r *slowReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), r.size)]) }

// Whatever a container sends, the gateway goes on.
func FuzzMessagesFromAContainer(f *testing.F) {
	for _, seed := range [][]byte{
		marshal(typeDone, doneMessage{ID: 1, Address: "/tmp/x"}),
		marshal(typeFailed, failedMessage{ID: 1, Text: "no"}),
		marshal(typeExited, exitedMessage{ID: 1, Request: "exit-status", Payload: "\x00\x00\x00\x00"}),
		marshal(typeHello, newHello("nonce")),
		marshal(typeArrived, arrivedMessage{ID: 1}),
		marshal(typeCaller, callerMessage{Number: 1, From: "127.0.0.1:80"}),
		[]byte("berth-helper 7 12345 ssh-ed25519 AAAA"),
		[]byte("berth-helper 7 12345 3.1"),
		[]byte("berth-helper came"),
		nil,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		m := &remote{
			calls: map[uint32]chan answer{1: make(chan answer, 1)},
			exits: map[uint32]chan sshconn.Exit{1: make(chan sshconn.Exit, 1)},
		}
		if len(message) > 0 {
			m.deliver(packet{kind: message[0], body: message[1:]})
		}
		parseAnnouncement(string(message))
		var hello helloMessage
		var caller callerMessage
		if len(message) > 0 && unmarshal(packet{kind: message[0], body: message[1:]}, typeHello, &hello) == nil {
			hello.version().check()
		}
		if len(message) > 0 && unmarshal(packet{kind: message[0], body: message[1:]}, typeCaller, &caller) == nil {
			callerAddr(caller.From)
		}
		(&frames{}).follow(message)
	})
}

// And whatever reaches a helper, it goes on.
func FuzzMessagesToAHelper(f *testing.F) {
	f.Add(marshal(typeStart, newStart(1, machine.Command{Kind: machine.Exec, Line: "true", Env: []string{"A=b"}})))
	f.Add(marshal(typeSignal, signalMessage{1, "TERM"}))
	f.Add(marshal(typeRelease, releaseMessage{1}))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) == 0 {
			return
		}
		var start startMessage
		p := packet{kind: message[0], body: message[1:]}
		if unmarshal(p, typeStart, &start) == nil {
			again := newStart(start.ID, start.command())
			if start.Pty == again.Pty && start.Line != again.Line {
				t.Errorf("%+v became %+v", start, again)
			}
			return // it would run
		}
		s := &server{processes: map[uint32]*machine.Child{}, listeners: map[uint32]net.Listener{}, released: map[uint32]bool{}}
		if p.kind == typeSignal || p.kind == typeRelease {
			s.answer(p)
		}
	})
}

// eventually waits for what another process or goroutine is about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Errorf("not within 10 s: %s", what)
}
