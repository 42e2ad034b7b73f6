package recorder

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/audit/files"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// newSession is a session channel that a client asks for.
type newSession struct {
	sshconn.NewChannel
	*Recorder
}

// Accept accepts the channel.
func (n newSession) Accept() (ssh.Channel, sshconn.Requests, error) {
	channel, requests, err := n.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	s := &session{Channel: channel, Recorder: n.Recorder, number: n.sessions.Add(1), since: time.Now()}
	return s, s.written(requests), nil
}

// session is a session that is recorded.
type session struct {
	ssh.Channel
	*Recorder
	number  uint64
	since   time.Time
	pty     bool
	asked   string // the client's own command, if it was replaced by a forced one
	started bool

	files    files.Watcher // set before the command starts; nil if the command copies no files
	up, down atomic.Uint64

	mu    sync.Mutex
	ended audit.SessionEnded
}

// written returns the session's requests, each after it was written to the audit
// file. It refuses those that could not be written.
func (s *session) written(requests sshconn.Requests) sshconn.Requests {
	return func(yield func(*ssh.Request) bool) {
		defer s.end()
		for request := range requests {
			if err := s.write(request); err != nil {
				io.WriteString(s.Channel.Stderr(), "berth: "+err.Error()+s.newline())
				sshconn.Reply(request, false, nil)
				continue
			}
			if !yield(request) {
				return
			}
		}
	}
}

func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files != nil {
		s.files.End()
	}
	if !s.started {
		return
	}
	s.ended.Who, s.ended.Session, s.ended.Seconds = s.Who, s.number, time.Since(s.since).Seconds()
	s.ended.Up, s.ended.Down = s.up.Load(), s.down.Load()
	s.Log.Write(s.ended)
}

func (s *session) newline() string {
	if s.pty { // the client has put its terminal into raw mode
		return "\r\n"
	}
	return "\n"
}

// commandOf returns the command or subsystem that a request starts; "" for a shell.
func commandOf(request *ssh.Request) string {
	var asked sshconn.ExecRequest // a subsystem request has its name in the same place
	if request.Type == machine.Shell || ssh.Unmarshal(request.Payload, &asked) != nil {
		return ""
	}
	return asked.Command
}

// write records a request.
func (s *session) write(request *ssh.Request) error {
	switch request.Type {
	case "pty-req":
		s.pty = true
	case "env":
		var env sshconn.EnvRequest
		if ssh.Unmarshal(request.Payload, &env) == nil && env.Name == sshconn.OriginalCommand { // set by package gate, never by a client
			s.asked = env.Value
		}
	case machine.Shell, machine.Exec, machine.Subsystem:
		if !s.started {
			s.files = s.watcher(request)
		}
		s.started = true
		return s.Log.Write(audit.Session{Who: s.Who, Session: s.number, Kind: request.Type, Command: commandOf(request), Asked: s.asked, Pty: s.pty})
	case "auth-agent-req@openssh.com", "agent-req":
		return s.Log.Write(audit.Lent{Who: s.Who, Session: s.number, What: "agent"})
	case "x11-req":
		return s.Log.Write(audit.Lent{Who: s.Who, Session: s.number, What: "x11"})
	case "signal":
		var signal sshconn.SignalRequest
		if ssh.Unmarshal(request.Payload, &signal) == nil {
			return s.Log.Write(audit.Signal{Who: s.Who, Session: s.number, Signal: signal.Name})
		}
	}
	return nil
}

// watcher returns a watcher for the files that the session copies, or nil if it is
// neither sftp nor scp.
func (s *session) watcher(request *ssh.Request) files.Watcher {
	by := "sftp"
	tell := func(file files.File) {
		s.told(audit.File{
			Who: s.Who, Session: s.number, By: by, Action: string(file.Action), Path: file.Path, To: file.To, Bytes: file.Bytes,
			Failed: file.Failed, Cut: file.Cut,
		})
	}
	lost := func(why string) { s.told(audit.FilesLost{Who: s.Who, Session: s.number, Why: why}) }
	command := commandOf(request)
	_, isSftp := machine.ParseSftp(command)
	switch {
	case request.Type == machine.Subsystem && isSftp:
		return files.NewSftp(tell, lost)
	case request.Type == machine.Exec:
		by = "scp"
		return files.ForCommand(command, tell, lost)
	}
	return nil
}

// told records what was done. If that fails, it closes the session.
func (s *session) told(event audit.Event) {
	if s.Log.Write(event) != nil {
		s.Channel.Close()
	}
}

// Read reads what the client sends.
func (s *session) Read(p []byte) (int, error) {
	n, err := s.Channel.Read(p)
	s.up.Add(uint64(n))
	if s.files != nil {
		s.files.FromClient(p[:n])
	}
	return n, err
}

// Write writes what the client gets.
func (s *session) Write(p []byte) (int, error) {
	if s.files != nil {
		s.files.FromHost(p)
	}
	n, err := s.Channel.Write(p)
	s.down.Add(uint64(n))
	return n, err
}

// Stderr returns the channel's stderr, whose bytes are counted, too.
func (s *session) Stderr() io.ReadWriter { return stderr{s.Channel.Stderr(), s} }

type stderr struct {
	io.ReadWriter
	session *session
}

// Write writes what the client gets.
func (e stderr) Write(p []byte) (int, error) {
	n, err := e.ReadWriter.Write(p)
	e.session.down.Add(uint64(n))
	return n, err
}

// SendRequest sends a request to the client. It keeps the exit status or signal for
// the event (RFC 4254 §6.10).
func (s *session) SendRequest(name string, wantReply bool, payload []byte) (bool, error) {
	var status struct{ Status uint32 }
	var signal struct {
		Name string
		Rest []byte `ssh:"rest"`
	}
	s.mu.Lock()
	switch {
	case name == "exit-status" && ssh.Unmarshal(payload, &status) == nil:
		s.ended.Exit = &status.Status
	case name == "exit-signal" && ssh.Unmarshal(payload, &signal) == nil:
		s.ended.Signal = signal.Name
	}
	s.mu.Unlock()
	return s.Channel.SendRequest(name, wantReply, payload)
}
