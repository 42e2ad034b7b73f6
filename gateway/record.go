package gateway

import (
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/gate"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/recording"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// watcher returns a function that follows each session of a connection. It registers
// those with a terminal at the server, so that Wall reaches them, and records them if
// recorded is true.
func (c *conn) watcher(host string, recorded bool) func(ssh.Channel) *gate.Watcher {
	follow := c.server.terminals.watch
	if !recorded {
		return follow
	}
	return func(channel ssh.Channel) *gate.Watcher {
		w := follow(channel)
		s := &recordedSession{Channel: channel, conn: c, session: recording.Session{
			Conn: c.id, Person: c.person, Host: host, Number: int(c.terminals.Add(1)),
		}}
		return &gate.Watcher{
			Channel: s,
			Granted: func(request *ssh.Request) string {
				if why := s.granted(request); why != "" {
					return why
				}
				return w.Granted(request)
			},
			Ended: func() {
				w.Ended()
				s.end()
			},
		}
	}
}

// saysRecorded returns the notice with one more line first: that terminals are
// recorded.
func saysRecorded(notice func() []string) func() []string {
	return func() []string {
		lines := []string{"berth: what this terminal shows is recorded"}
		if notice != nil {
			lines = slices.Concat(lines, notice())
		}
		return lines
	}
}

// recordedSession is a session that is recorded if it has a terminal.
type recordedSession struct {
	ssh.Channel
	*conn
	session  recording.Session
	terminal bool
	recorded atomic.Pointer[recording.Recording] // nil before the start, and if it is not recorded
}

// granted follows the session's requests. It begins the recording just before
// something is started at a terminal. A text other than "" refuses the request.
func (s *recordedSession) granted(request *ssh.Request) (why string) {
	switch request.Type {
	case "pty-req":
		var pty sshconn.PtyRequest
		if ssh.Unmarshal(request.Payload, &pty) == nil {
			s.terminal, s.session.Term, s.session.Columns, s.session.Rows = true, pty.Term, pty.Columns, pty.Rows
		}
	case "window-change":
		var size sshconn.WindowChange
		if r := s.recorded.Load(); r != nil && ssh.Unmarshal(request.Payload, &size) == nil {
			r.Resize(size.Columns, size.Rows)
		}
	case machine.Shell, machine.Exec:
		var exec sshconn.ExecRequest
		if request.Type == machine.Exec && ssh.Unmarshal(request.Payload, &exec) == nil {
			s.session.Command = exec.Command
		}
		if s.terminal && s.recorded.Load() == nil {
			return s.begin()
		}
	}
	return ""
}

func (s *recordedSession) begin() (why string) {
	s.session.Began = time.Now()
	r, err := s.server.Recordings.Start(s.session)
	if err != nil {
		return err.Error()
	}
	s.recorded.Store(r)
	return ""
}

func (s *recordedSession) end() {
	if r := s.recorded.Load(); r != nil {
		r.Close()
	}
}

// Write records what is to be shown, and then sends it. If recording fails, nothing
// is sent.
func (s *recordedSession) Write(p []byte) (int, error) {
	if err := s.record(p); err != nil {
		return 0, err
	}
	return s.Channel.Write(p)
}

// record records what is to be shown. If that fails, it ends the session.
func (s *recordedSession) record(p []byte) error {
	r := s.recorded.Load()
	if r == nil {
		return nil
	}
	err := r.Output(p)
	if err != nil {
		io.WriteString(s.Channel.Stderr(), "\r\nberth: "+err.Error()+"\r\n")
		s.Channel.Close()
	}
	return err
}

// Stderr returns the channel's stderr, recorded in the same way.
func (s *recordedSession) Stderr() io.ReadWriter { return recordedStderr{s.Channel.Stderr(), s} }

type recordedStderr struct {
	io.ReadWriter
	session *recordedSession
}

// Write records what is to be shown, and then sends it.
func (e recordedStderr) Write(p []byte) (int, error) {
	if err := e.session.record(p); err != nil {
		return 0, err
	}
	return e.ReadWriter.Write(p)
}
