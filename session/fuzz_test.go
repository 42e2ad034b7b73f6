package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// nowhere is a machine on which everything fails.
type nowhere struct{}

func (nowhere) Start(machine.Command) (*machine.Process, error) {
	return nil, errors.New("nowhere")
}
func (nowhere) Dial(string, string) (net.Conn, error)       { return nil, errors.New("nowhere") }
func (nowhere) Listen(string, string) (net.Listener, error) { return nil, errors.New("nowhere") }
func (nowhere) Done() <-chan struct{}                       { return nil }
func (nowhere) Close() error                                { return nil }

// discarded is a channel that drops everything.
type discarded struct{ ssh.Channel }

func (discarded) Stderr() io.ReadWriter                          { return &bytes.Buffer{} }
func (discarded) SendRequest(string, bool, []byte) (bool, error) { return true, nil }

// No request of a client makes the connection panic.
func FuzzRequestPayloads(f *testing.F) {
	for _, seed := range []struct {
		name    string
		payload any
	}{
		{"pty-req", sshconn.PtyRequest{Term: "xterm", Columns: 80, Rows: 24, Width: 0, Height: 0, Modes: "\x01\x00\x00\x00\x03\x00"}},
		{"window-change", sshconn.WindowChange{Columns: 80, Rows: 24, Width: 0, Height: 0}},
		{"env", sshconn.EnvRequest{Name: "LANG", Value: "C"}},
		{machine.Exec, sshconn.ExecRequest{Command: "true"}},
		{machine.Subsystem, sshconn.SubsystemRequest{Name: "sftp"}},
		{"signal", sshconn.SignalRequest{Name: "TERM"}},
		{"tcpip-forward", sshconn.TCPIPForward{Address: "localhost", Port: 0}},
		{"streamlocal-forward@openssh.com", sshconn.StreamlocalForward{Path: "/tmp/x"}},
	} {
		f.Add(seed.name, ssh.Marshal(seed.payload))
	}
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		tasks := &sshconn.Tasks{Panicked: func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) }}
		s := &server{ctx: context.Background(), machine: nowhere{}, tasks: tasks, options: Options{Log: slog.New(slog.DiscardHandler)}}
		s.forwards = newForwards(s)
		request := &ssh.Request{Type: name, Payload: payload}
		newSession(s, discarded{}).answer(request)
		global := make(chan *ssh.Request, 1)
		global <- request
		close(global)
		s.conn.Requests = global
		for request := range s.conn.Requests {
			s.answer(request)
		}
		tasks.Wait()
	})
}
