package gate

import (
	"io"
	"strings"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// sessionGate is the gate before one session.
type sessionGate struct {
	*Gate
	channel ssh.Channel
	newline string
	closed  bool // a command was refused, and so is everything after it
	watcher *Watcher
}

// session returns the gate before a session that was opened, with its watcher.
func (g *Gate) session(channel ssh.Channel) *sessionGate {
	s := &sessionGate{Gate: g, channel: channel, newline: "\n"}
	if g.Watch != nil {
		s.watcher = g.Watch(channel)
	}
	if s.watcher != nil {
		s.channel = s.watcher.Channel
	}
	return s
}

// granted returns those of a session's requests that are granted. Before one whose command
// was replaced by a forced one goes a request that tells the original.
func (s *sessionGate) granted(requests sshconn.Requests) sshconn.Requests {
	return func(yield func(*ssh.Request) bool) {
		if s.watcher != nil {
			defer s.watcher.Ended()
		}
		for request := range requests {
			asked, ok := s.admit(request)
			switch {
			case !ok:
			case asked != "" && !yield(originalCommand(asked)), !yield(request):
				return
			}
		}
	}
}

// originalCommand is the request that tells the command which a forced one has replaced.
func originalCommand(asked string) *ssh.Request {
	return &ssh.Request{Type: "env", Payload: ssh.Marshal(sshconn.EnvRequest{Name: sshconn.OriginalCommand, Value: asked})}
}

// admit reports whether a request is granted, and answers it if it is not. asked is the
// command that a forced one has replaced; else "".
func (s *sessionGate) admit(request *ssh.Request) (asked string, granted bool) {
	asked = s.force(request)
	why := s.whyNot(request)
	if why == "" && s.watcher != nil && !s.closed {
		why = s.watcher.Granted(request)
	}
	switch {
	case s.closed:
		sshconn.Reply(request, false, nil)
	case why == "":
		return asked, true
	case isStart(request.Type):
		s.refuseStart(request, why)
	default:
		s.refused(request.Type, why)
		sshconn.Reply(request, false, nil)
	}
	return "", false
}

func isStart(request string) bool {
	return request == machine.Shell || request == machine.Exec || request == machine.Subsystem
}

// whyNot says why a request is refused; "" if it is granted. It changes a request for sftp
// into one for the limited sftp that is granted.
func (s *sessionGate) whyNot(request *ssh.Request) string {
	switch grant := s.To.Grant; request.Type {
	case "pty-req":
		return s.whyNoPty(request)
	case machine.Shell:
		return s.unless(!grant.NoShell, "a shell")
	case machine.Exec:
		var exec sshconn.ExecRequest
		if ssh.Unmarshal(request.Payload, &exec) != nil || strings.ContainsRune(exec.Command, 0) { // for a NUL, sshd would end the connection
			return unreadable("exec")
		}
		return s.unless(grant.MayExec(exec.Command), "the command %.200q", exec.Command)
	case machine.Subsystem:
		return s.whyNoSubsystem(request)
	case "auth-agent-req@openssh.com", "agent-req":
		return s.unless(!grant.NoAgent, "agent forwarding")
	case "x11-req":
		return s.unless(!grant.NoX11, "X11 forwarding")
	case "env":
		return s.whyNoEnv(request)
	case "signal":
		if ssh.Unmarshal(request.Payload, &sshconn.SignalRequest{}) != nil {
			return unreadable("signal")
		}
		return s.unless(grant.Forced == "", "a signal to a forced command")
	case "window-change", "xon-xoff", "break", "eow@openssh.com", "keepalive@openssh.com":
		return ""
	default: // it may be another way to what is forbidden, as agent-req is, which newer clients say
		return s.unless(!grant.Any(), "this kind of request")
	}
}

func (s *sessionGate) whyNoPty(request *ssh.Request) string {
	if ssh.Unmarshal(request.Payload, &sshconn.PtyRequest{}) != nil {
		return unreadable("pty-req")
	}
	if !s.To.Grant.NoPty {
		s.newline = "\r\n" // the client's terminal is raw from then on
	}
	return s.unless(!s.To.Grant.NoPty, "a terminal")
}

// whyNoEnv says why a variable may not be set. A host's own sshd may accept variables by
// which one program runs another: only a person with all rights may set these.
func (s *sessionGate) whyNoEnv(request *ssh.Request) string {
	var env sshconn.EnvRequest
	if ssh.Unmarshal(request.Payload, &env) != nil {
		return unreadable("env")
	}
	mayAll := !s.To.Grant.Any() && env.Name != sshconn.OriginalCommand
	return s.unless(mayAll || sshconn.IsListedEnv(env.Name), "to set %.64q", env.Name)
}

// force puts the forced command, if there is one, in the place of what the client
// wants to start, and returns what that was; "" for a shell.
func (s *sessionGate) force(request *ssh.Request) (asked string) {
	forced := s.To.Grant.Forced
	if forced == "" || !isStart(request.Type) {
		return ""
	}
	var line sshconn.ExecRequest // a subsystem's name lies in the same place
	if request.Type != machine.Shell && ssh.Unmarshal(request.Payload, &line) == nil {
		asked = line.Command
	}
	if forced == auth.InternalSftp {
		request.Type, request.Payload = machine.Subsystem, ssh.Marshal(sshconn.SubsystemRequest{Name: machine.Sftp})
	} else {
		request.Type, request.Payload = machine.Exec, ssh.Marshal(sshconn.ExecRequest{Command: forced})
	}
	return asked
}

func (s *sessionGate) whyNoSubsystem(request *ssh.Request) string {
	grant := s.To.Grant
	var subsystem sshconn.SubsystemRequest
	if ssh.Unmarshal(request.Payload, &subsystem) != nil {
		return unreadable("subsystem")
	}
	if asked, isSftp := machine.ParseSftp(subsystem.Name); isSftp { // by whatever name
		granted := machine.SftpLimits{ReadOnly: grant.ReadOnlySftp, Directory: grant.SftpDirectory}
		if asked != granted && grant.LimitsSftp() {
			request.Payload = ssh.Marshal(sshconn.SubsystemRequest{Name: granted.Subsystem()})
		}
		subsystem.Name = machine.Sftp
	}
	return s.unless(grant.MaySubsystem(subsystem.Name), "the subsystem %.64q", subsystem.Name)
}

// refuseStart accepts the request, writes why no command is started to the session's
// stderr, and ends it with 255. Clients would show nothing of a refused request.
func (s *sessionGate) refuseStart(request *ssh.Request, why string) {
	s.refused(request.Type, why)
	s.closed = true
	sshconn.Reply(request, true, nil)
	io.WriteString(s.channel.Stderr(), "berth: "+why+s.newline)
	exit := sshconn.ExitStatus(255)
	s.channel.SendRequest(exit.Request, false, exit.Payload)
	s.channel.CloseWrite()
	s.channel.Close()
}
