package helper

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/helper/streams"
	"github.com/berth-ssh/berth/machine"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv(envLive) != "" {
		live(func(*machine.Local) {
			os.Stdout.WriteString("answering\n")
			io.Copy(io.Discard, os.Stdin)
		})
		return
	}
	goleak.VerifyTestMain(m)
}

// meetInProcess returns the client of a helper that runs in this process. They meet
// on the socket of the meetings if there are any, else by a descriptor that is taken
// out of this process if pid is not nil, else on streams.
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
	return &machine.Local{Account: func() machine.Account { return account }, Env: os.Environ()}
}

// byEachWay runs a test with a machine reached by descriptors, and with one by
// streams.
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
	opened, err := client.Open()
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
	opened, err := meetInProcess(t, meetings, socket, never).Open()
	if err != nil {
		t.Fatal(opened, err)
	}
	defer opened.Close()
	if _, err := opened.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
}

// Every account of every container can connect to the socket.
func TestNobodyIsMetWhoWasNotStarted(t *testing.T) {
	meetings, socket := newMeetings(t)
	arrived, forget := meetings.expect("nonce")
	defer forget()
	for name, hello := range map[string]messages.Hello{
		"a guess":         messages.NewHello("guess"),
		"no nonce":        messages.NewHello(""),
		"another version": {Major: messages.Major + 1, Nonce: "nonce"},
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
	first, err := come(socket, messages.NewHello("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	defer (<-arrived).Close()
	if second, err := come(socket, messages.NewHello("nonce")); err == nil {
		second.Close()
		t.Error("a second one is welcome")
	}
}

// Accounts of other containers fill the socket and send nothing. The helper then
// meets the gateway in another way.
func TestACrowdAtTheSocketKeepsNobodyOut(t *testing.T) {
	meetings, socket := newMeetings(t)
	for range 2 * maxCallers {
		silent, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Net: "unixpacket", Name: socket})
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	opened, err := meetInProcess(t, meetings, socket, ownPID).Open()
	if err != nil {
		t.Fatal(opened, err)
	}
	opened.Close()
}

// The gateway meets only the process that was started, never one that got its process
// number or answers in its place.
func TestAnImpostorIsNotMet(t *testing.T) {
	for name, hello := range map[string]messages.Hello{
		"another nonce":   messages.NewHello("guessed"),
		"no nonce":        messages.NewHello(""),
		"another version": {Major: messages.Major + 1, Nonce: "nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			near, far, err := descriptors.NewPair(messages.MaxRequest)
			if err != nil {
				t.Fatal(err)
			}
			defer near.Close()
			go func() {
				attached, err := near.Receive()
				if err != nil {
					return
				}
				control, err := descriptors.FileSocket(attached.Files[0], messages.MaxRequest)
				if err != nil {
					return
				}
				control.Send(messages.TypeHello, hello)
				control.Close()
			}()
			if client, err := attach(far, "nonce"); err == nil {
				client.Close()
				t.Error("met an impostor")
			}
		})
	}
}

// A process may announce any descriptor that it has: a file, or a listening socket.
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

// No announcement of a container makes the gateway panic.
func FuzzAnnouncements(f *testing.F) {
	f.Add("berth-helper 7 12345 3.1")
	f.Add("berth-helper 7 12345 ssh-ed25519 AAAA")
	f.Add("berth-helper came")
	f.Fuzz(func(t *testing.T, line string) {
		if said, err := parseAnnouncement(line); err == nil && said.FD < 0 {
			t.Errorf("descriptor %d", said.FD)
		}
	})
}

// A gateway without privileges uses a machine that another process of the box has
// opened.
func TestAMachineIsHandedOver(t *testing.T) {
	meetings, socket := newMeetings(t)
	client := meetInProcess(t, meetings, socket, nil)
	opened, err := client.Open()
	if err != nil {
		t.Fatal(err)
	}
	handed, err := opened.HandOver()
	if err != nil {
		t.Fatal(err)
	}
	opened.Close()
	there, err := new(Taken).Machine(t.Context(), handed)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if _, err := there.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := opened.HandOver(); err == nil {
		t.Error("it is handed over twice")
	}
}

// Where no descriptor crosses, all machines of a helper share the file that is handed
// over with the first one.
func TestMachinesByStreamsAreHandedOver(t *testing.T) {
	ours, theirs := net.Pipe()
	go streams.Serve(streams.Standard{Reader: theirs, Writer: theirs, OnClose: func() { theirs.Close() }}, &machine.Local{})
	client := newStreamsClient(streams.Standard{Reader: ours, Writer: ours, OnClose: func() { ours.Close() }}, messages.Current(), errors.New("for a test"))
	var taken Taken
	var second Handed
	var last machine.Machine
	for i := range 2 {
		opened, err := client.Open()
		if err != nil {
			t.Fatal(err)
		}
		handed, err := opened.HandOver()
		if err != nil || (handed.File != nil) != (i == 0) {
			t.Fatalf("%+v, %v", handed, err)
		}
		there, err := taken.Machine(t.Context(), handed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := there.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("nobody there: %v", err)
		}
		there.Close()
		second, last = handed, there
	}
	client.Close()
	<-client.Done()
	<-last.Done()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := taken.Machine(ctx, second); err == nil {
		t.Error("a helper that is gone is used")
	}
}
