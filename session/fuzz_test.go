package session

import (
	"errors"
	"log/slog"
	"net"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
)

// nowhere is a machine that can do nothing.
type nowhere struct{}

func (nowhere) Start(Command, Stdio) (*Process, error)      { return nil, errors.New("nowhere") }
func (nowhere) Dial(string, string) (net.Conn, error)       { return nil, errors.New("nowhere") }
func (nowhere) Listen(string, string) (net.Listener, error) { return nil, errors.New("nowhere") }
func (nowhere) Done() <-chan struct{}                       { return nil }
func (nowhere) Close() error                                { return nil }

// Whatever a client sends in a request, the connection goes on.
func FuzzRequestPayloads(f *testing.F) {
	for _, seed := range []struct {
		name    string
		payload any
	}{
		{"pty-req", ptyRequest{"xterm", 80, 24, 0, 0, "\x01\x00\x00\x00\x03\x00"}},
		{"window-change", windowChange{80, 24, 0, 0}},
		{"env", EnvRequest{"LANG", "C"}},
		{Exec, execRequest{"true"}},
		{Subsystem, subsystemRequest{"sftp"}},
		{"signal", signalRequest{"TERM"}},
		{"tcpip-forward", tcpipForward{"localhost", 0}},
		{"streamlocal-forward@openssh.com", streamlocalForward{"/tmp/x"}},
	} {
		f.Add(seed.name, ssh.Marshal(seed.payload))
	}
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		tasks := &Tasks{Panicked: func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) }}
		s := &server{machine: nowhere{}, tasks: tasks, options: Options{Log: slog.New(slog.DiscardHandler)}}
		s.forwards = newForwards(s)
		request := &ssh.Request{Type: name, Payload: payload}
		newSession(s, &recorder{}).answer(request)
		global := make(chan *ssh.Request, 1)
		global <- request
		close(global)
		s.conn.Requests = global
		s.globalRequests()
		tasks.Wait()
	})
}

func FuzzExit(f *testing.F) {
	f.Add("exit-status", string(ExitStatus(7).Payload))
	f.Add("exit-signal", string(ExitSignal("KILL", true).Payload))
	f.Fuzz(func(t *testing.T, request, payload string) {
		exit, err := ParseExit(request, payload)
		if err != nil {
			return
		}
		again, err := ParseExit(exit.Request, string(exit.Payload))
		if err != nil || string(again.Payload) != string(exit.Payload) {
			t.Errorf("%q does not read back: %v", exit, err)
		}
	})
}

func FuzzTerminalModes(f *testing.F) {
	f.Add("\x01\x00\x00\x00\x03\x35\x00\x00\x00\x00\x81\x00\x00\x96\x00\x00")
	f.Fuzz(func(t *testing.T, modes string) {
		master, slave, err := pty.Open()
		if err != nil {
			t.Skip("no pty here: ", err)
		}
		defer master.Close()
		defer slave.Close()
		if err := setModes(slave, modes); err != nil {
			t.Errorf("modes %q: %v", modes, err)
		}
	})
}
