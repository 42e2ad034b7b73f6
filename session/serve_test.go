package session

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialLocal returns a client of a session server on this machine.
func dialLocal(t *testing.T) *ssh.Client {
	t.Helper()
	return dial(t, testMachine(t))
}

// dial returns a client of a session server for the machine. When the test ends,
// everything of it has ended.
func dial(t *testing.T, on machine.Machine) *ssh.Client {
	t.Helper()
	return dialUntil(context.Background(), t, on)
}

// dialUntil is dial with a context whose end ends the connection.
func dialUntil(ctx context.Context, t *testing.T, on machine.Machine) *ssh.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		serveOne(ctx, t, listener, on)
	}()
	client, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{
		User:            "dev",
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		ClientVersion:   "SSH-2.0-OpenSSH_test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		<-served
	})
	return client
}

func serveOne(ctx context.Context, t *testing.T, listener net.Listener, on machine.Machine) {
	raw, err := listener.Accept()
	if err != nil {
		return
	}
	defer raw.Close()
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	Serve(ctx, sshconn.Conn{Conn: conn, Channels: channels, Requests: requests}, on, Options{
		Env:      []string{"SSH_CONNECTION=test"},
		Lost:     func() string { return "berth: " + context.Cause(ctx).Error() },
		Log:      slog.New(slog.DiscardHandler),
		Panicked: func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) },
	})
}

func testMachine(t *testing.T) *machine.Local {
	account := machine.CurrentAccount()
	account.Shell = "/bin/sh"
	account.Home = t.TempDir()
	return &machine.Local{Account: func() machine.Account { return account }, Env: os.Environ()}
}

func TestCommandsSayHowTheyEnded(t *testing.T) {
	client := dialLocal(t)
	for _, test := range []struct {
		command, stdout, stderr string
		status                  int
		signal                  string
	}{
		{command: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
		{command: "exit 7", status: 7},
		{command: "exit 255", status: 255},
		{command: "kill -TERM $$", signal: "TERM"},
		{command: "printf %s \"$SSH_CONNECTION\"", stdout: "test"},
		{command: "exec >&- 2>&-; sleep 0.3; exit 5", status: 5},
		{command: "cd / && pwd", stdout: "/\n"},
	} {
		t.Run(test.command, func(t *testing.T) {
			session, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			var stdout, stderr bytes.Buffer
			session.Stdout, session.Stderr = &stdout, &stderr
			err = session.Run(test.command)
			status, signal := 0, ""
			if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
				status, signal = exit.ExitStatus(), exit.Signal()
			} else if err != nil {
				t.Fatal(err)
			}
			if test.signal == "" && status != test.status || signal != test.signal {
				t.Errorf("ended with %d %q, want %d %q", status, signal, test.status, test.signal)
			}
			if stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("said %q and %q, want %q and %q", &stdout, &stderr, test.stdout, test.stderr)
			}
		})
	}
}

// When the gateway ends a connection, its sessions are told why, with and without a
// terminal. That holds also where a background process keeps the output open, and
// where the command would die of the hangup.
func TestSessionsAreToldWhyTheirConnectionWasEnded(t *testing.T) {
	for _, tt := range []struct {
		command string
		pty     bool
	}{
		{command: "echo $$; read x"},
		{command: "sleep 60 & echo $!; read x"},
		{command: "echo $$; exec sleep 60"},
		{command: "echo $$; exec sleep 60", pty: true},
	} {
		ctx, end := context.WithCancelCause(t.Context())
		client := dialUntil(ctx, t, testMachine(t))
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		stdin, _ := session.StdinPipe() // keeps the input open
		stdout, _ := session.StdoutPipe()
		var stderr bytes.Buffer
		session.Stderr = &stderr
		if tt.pty {
			session.RequestPty("xterm", 24, 80, nil)
		}
		if err := session.Start(tt.command); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Kill(pid, syscall.SIGKILL) // it survives its connection
		end(errors.New("for a test"))
		cut := time.AfterFunc(10*time.Second, func() { client.Close() })
		err = session.Wait()
		cut.Stop()
		if exit := (*ssh.ExitError)(nil); !errors.As(err, &exit) || exit.ExitStatus() != 255 {
			t.Errorf("%s: ended with %v, want status 255", tt.command, err)
		}
		want := "berth: for a test\n"
		if tt.pty {
			want = "berth: for a test\r\n"
		}
		if stderr.String() != want {
			t.Errorf("%s: was told %q, want %q", tt.command, &stderr, want)
		}
		stdin.Close()
	}
}

// endsFirst is a machine whose processes end before their Signal returns.
type endsFirst struct {
	machine.Machine
	told <-chan struct{} // closed when the client knows that the process has ended
}

func (m endsFirst) Start(command machine.Command) (*machine.Process, error) {
	process, err := m.Machine.Start(command)
	if err != nil {
		return nil, err
	}
	signal := process.Signal
	process.Signal = func(name string) error {
		defer func() {
			select {
			case <-m.told:
			case <-time.After(300 * time.Millisecond): // time for the client to learn it, which it must not
			}
		}()
		return signal(name)
	}
	return process, nil
}

// RFC 4254 allows a request to be answered until its channel is closed, and sshd
// answers a signal before the end that the signal causes.
func TestASignalIsAnsweredBeforeItsEnd(t *testing.T) {
	told := make(chan struct{})
	session, err := dial(t, endsFirst{testMachine(t), told}).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.Start("exec sleep 60"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		err := session.Wait()
		close(told)
		ended <- err
	}()
	if ok, err := session.SendRequest("signal", true, ssh.Marshal(sshconn.SignalRequest{Name: "TERM"})); !ok || err != nil {
		t.Errorf("the answer: %v, %v", ok, err)
	}
	if exit := (*ssh.ExitError)(nil); !errors.As(<-ended, &exit) || exit.Signal() != "TERM" {
		t.Errorf("the end: %v", exit)
	}
}

// endsLate is a machine on which everything but the process is slow: who has closed a
// process's input goes on when its output has ended long ago, and its exit comes later.
type endsLate struct{ machine.Machine }

type slowClose struct{ io.WriteCloser }

func (c slowClose) Close() error {
	defer time.Sleep(sshconn.EOFGrace + 500*time.Millisecond)
	return c.WriteCloser.Close()
}

func (m endsLate) Start(command machine.Command) (*machine.Process, error) {
	process, err := m.Machine.Start(command)
	if err != nil {
		return nil, err
	}
	process.Stdin = slowClose{process.Stdin}
	late, exit := make(chan sshconn.Exit, 1), process.Exit
	time.AfterFunc(sshconn.EOFGrace+250*time.Millisecond, func() { late <- <-exit })
	process.Exit = late
	return process, nil
}

// OpenSSH closes a channel whose input and output have ended, and sees no later status.
func TestAProcessThatEndsWithItsInputHasAStatus(t *testing.T) {
	channel, requests, err := dial(t, endsLate{testMachine(t)}).OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := channel.SendRequest(machine.Exec, true, ssh.Marshal(sshconn.ExecRequest{Command: "cat; exit 7"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	channel.CloseWrite()
	io.Copy(io.Discard, channel)
	channel.Close()
	for request := range requests {
		if request.Type == "exit-status" {
			return
		}
	}
	t.Error("the client has closed the channel before it was sent the status")
}

func TestAMachineWithoutAShellSaysSo(t *testing.T) {
	on := &machine.Local{Account: func() machine.Account { return machine.Account{Name: "dev", Home: "/", Shell: "/no/such/shell"} }}
	_, err := on.Start(machine.Command{Kind: machine.Exec, Line: "true"})
	if err == nil || !strings.Contains(err.Error(), "/no/such/shell") {
		t.Errorf("got %v, want an error that names the shell", err)
	}
}

// A forwarded socket belongs to the user alone, can be requested only once, and is
// removed when the client cancels its forward.
func TestAForwardIsTakenBack(t *testing.T) {
	client := dialLocal(t)
	path := filepath.Join(t.TempDir(), "socket")
	listener := listenEcho(t, client, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info, err)
	}
	wantEcho(t, path)
	if _, err := client.ListenUnix(path); err == nil {
		t.Error("a path was taken twice")
	}
	listener.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// A connection's forwards end with it; those of other connections stay.
func TestForwardsEndWithTheirConnection(t *testing.T) {
	mine, theirs := dialLocal(t), dialLocal(t)
	dir := t.TempDir()
	own, other := filepath.Join(dir, "own"), filepath.Join(dir, "other")
	listenEcho(t, mine, own)
	listenEcho(t, theirs, other)
	theirs.Close() // without cancelling its forward
	deadline := time.Now().Add(10 * time.Second)
	for _, err := os.Stat(other); err == nil; _, err = os.Stat(other) {
		if time.Now().After(deadline) {
			t.Fatal("the socket of a connection that has ended is still there")
		}
		time.Sleep(10 * time.Millisecond)
	}
	wantEcho(t, own)
}

// listenEcho forwards a path, and echoes what arrives on the first connection to it.
func listenEcho(t *testing.T, client *ssh.Client, path string) net.Listener {
	t.Helper()
	listener, err := client.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if conn, err := listener.Accept(); err == nil {
			io.Copy(conn, conn)
			conn.Close()
		}
	}()
	return listener
}

func wantEcho(t *testing.T, path string) {
	t.Helper()
	conn, err := net.DialTimeout("unix", path, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	conn.Write([]byte("ping"))
	conn.(*net.UnixConn).CloseWrite()
	if echo, err := io.ReadAll(conn); string(echo) != "ping" {
		t.Errorf("echoed %q, %v", echo, err)
	}
}

func TestAnotherConnectionCannotCancelAForward(t *testing.T) {
	mine, theirs := dialLocal(t), dialLocal(t)
	listener, err := mine.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := uint32(listener.Addr().(*net.TCPAddr).Port)
	ok, _, err := theirs.SendRequest("cancel-tcpip-forward", true, ssh.Marshal(sshconn.TCPIPForward{Address: "127.0.0.1", Port: port}))
	if err != nil || ok {
		t.Errorf("another connection's forward was cancelled (%v, %v)", ok, err)
	}
	if _, err := net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Errorf("the forward is gone: %v", err)
	}
}

func TestUnknownRequestsAreRefusedInOrder(t *testing.T) {
	client := dialLocal(t)
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	for _, request := range []struct {
		name    string
		payload []byte
		want    bool
	}{
		{"winadj@putty.projects.tartarus.org", nil, false},
		{"pty-req", []byte("garbage"), false},
		{"env", ssh.Marshal(sshconn.EnvRequest{Name: "LD_PRELOAD", Value: "/tmp/evil.so"}), false},
		{"env", ssh.Marshal(sshconn.EnvRequest{Name: "LANG", Value: "C"}), true},
		{"x11-req", nil, false},
		{machine.Exec, ssh.Marshal(sshconn.ExecRequest{Command: "cat"}), true},
		{machine.Exec, ssh.Marshal(sshconn.ExecRequest{Command: "true"}), false}, // one command a session
	} {
		if ok, err := channel.SendRequest(request.name, true, request.payload); err != nil || ok != request.want {
			t.Errorf("%s: %v, %v, want %v", request.name, ok, err, request.want)
		}
	}
}

// A panic in one connection's goroutine is reported to that connection's owner, and
// affects no other connection.
func TestAPanicIsContained(t *testing.T) {
	var told any
	tasks := &sshconn.Tasks{Panicked: func(value any, _ []byte) { told = value }}
	tasks.Go(func() { panic("boom") })
	tasks.Wait()
	if told != "boom" {
		t.Errorf("told %v", told)
	}
}

func TestCommandThatCannotStartSaysWhy(t *testing.T) {
	session, err := dial(t, nowhere{}).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	session.Stderr = &stderr
	var exit *ssh.ExitError
	if err := session.Run("true"); !errors.As(err, &exit) || exit.ExitStatus() != 255 {
		t.Errorf("got %v, want exit 255", err)
	}
	if stderr.String() != "nowhere\n" {
		t.Errorf("stderr %q", stderr.String())
	}
}
