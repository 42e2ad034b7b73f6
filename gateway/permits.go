package gateway

import (
	"log/slog"

	"berth/auth"
	"berth/machine"
	"berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// originalCommand is the variable in which a forced command finds what the
// client asked for, as sshd(8) sets it.
const originalCommand = "SSH_ORIGINAL_COMMAND"

// permitted holds a connection to what the credential permits by which the
// person logged in. It stands before both mechanisms, join and be: of what it
// refuses, neither of them nor the host ever hears.
type permitted struct {
	by    *auth.Permits
	tasks *sshconn.Tasks
	log   *slog.Logger
}

// client is a client's connection without what is not permitted. Whoever serves
// it must read its channels and requests until they are closed.
func (p permitted) client(conn sshconn.Conn) sshconn.Conn {
	if p.by.All() {
		return conn
	}
	channels, requests := make(chan ssh.NewChannel), make(chan *ssh.Request)
	p.tasks.Go(func() {
		defer close(channels)
		for channel := range conn.Channels {
			switch {
			case !p.mayOpen(channel):
				p.refuse(channel)
			case channel.ChannelType() == "session":
				channels <- permittedSession{channel, p}
			default:
				channels <- channel
			}
		}
	})
	p.tasks.Go(func() {
		defer close(requests)
		p.pass(conn.Requests, requests, p.mayAsk)
	})
	return sshconn.Conn{Conn: conn.Conn, Channels: channels, Requests: requests}
}

// host is a host's connection without the channels that it may not open to the
// client. A client should refuse them itself; OpenSSH's lends its agent to
// whoever asks, if it was told to forward it at all.
func (p permitted) host(conn sshconn.Conn) sshconn.Conn {
	if p.by.All() {
		return conn
	}
	channels := make(chan ssh.NewChannel)
	p.tasks.Go(func() {
		defer close(channels)
		for channel := range conn.Channels {
			if !p.mayComeBack(channel.ChannelType()) {
				p.refuse(channel)
				continue
			}
			channels <- channel
		}
	})
	return sshconn.Conn{Conn: conn.Conn, Channels: channels, Requests: conn.Requests}
}

func (p permitted) refuse(channel ssh.NewChannel) {
	p.log.Info("not permitted by the credential", "channel", channel.ChannelType())
	channel.Reject(ssh.Prohibited, "not permitted by the key or certificate that logged in")
}

// pass passes on the requests that are permitted and refuses the others.
func (p permitted) pass(from <-chan *ssh.Request, to chan<- *ssh.Request, may func(*ssh.Request) bool) {
	for request := range from {
		if !may(request) {
			p.log.Info("not permitted by the credential", "request", request.Type)
			sshconn.Reply(request, false, nil)
			continue
		}
		to <- request
	}
}

// mayOpen: kinds of channels that are not named here could do anything, so they
// are refused where anything is.
func (p permitted) mayOpen(channel ssh.NewChannel) bool {
	switch channel.ChannelType() {
	case "session":
		return true
	case "direct-tcpip":
		var open sshconn.DirectTCPIP
		return ssh.Unmarshal(channel.ExtraData(), &open) == nil && p.by.MayOpen(open.Host, open.Port)
	case "direct-streamlocal@openssh.com":
		return p.by.MayOpenSocket()
	}
	return false
}

func (p permitted) mayAsk(request *ssh.Request) bool {
	switch request.Type {
	case "tcpip-forward":
		var forward sshconn.TCPIPForward
		return ssh.Unmarshal(request.Payload, &forward) == nil && p.by.MayListen(forward.Address, forward.Port)
	case "streamlocal-forward@openssh.com":
		return p.by.MayListenSocket()
	case "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com", "keepalive@openssh.com",
		"no-more-sessions@openssh.com", "hostkeys-prove-00@openssh.com":
		return true
	}
	return false
}

func (p permitted) mayComeBack(kind string) bool {
	switch kind {
	case "forwarded-tcpip":
		return p.by.MayListenAny()
	case "forwarded-streamlocal@openssh.com":
		return p.by.MayListenSocket()
	case "auth-agent@openssh.com", "agent-connect":
		return p.by.MayAgent()
	case "x11":
		return p.by.MayX11()
	}
	return false
}

// permittedSession is a session channel that a client asks for.
type permittedSession struct {
	ssh.NewChannel
	permitted
}

// Accept accepts the channel. Of its requests the caller gets what is permitted,
// and must read them until they are closed.
func (s permittedSession) Accept() (ssh.Channel, <-chan *ssh.Request, error) {
	channel, requests, err := s.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	passed := make(chan *ssh.Request)
	s.tasks.Go(func() {
		defer close(passed)
		forced := s.force(requests)
		s.pass(forced, passed, s.mayAskSession)
	})
	return channel, passed, nil
}

// mayAskSession: what is not named here could be another way to what is
// forbidden, as "agent-req" is, which newer clients say.
func (s permittedSession) mayAskSession(request *ssh.Request) bool {
	switch request.Type {
	case "pty-req":
		return s.by.MayPty()
	case "auth-agent-req@openssh.com", "agent-req":
		return s.by.MayAgent()
	case "x11-req":
		return s.by.MayX11()
	case "env", machine.Shell, machine.Exec, machine.Subsystem, "window-change", "xon-xoff", "signal", "break",
		"eow@openssh.com", "keepalive@openssh.com":
		return true
	}
	return false
}

// force puts the forced command, if there is one, in the place of what the client
// wants to start, and says before it what that was.
func (s permittedSession) force(requests <-chan *ssh.Request) <-chan *ssh.Request {
	if s.by.Forced() == "" {
		return requests
	}
	forced := make(chan *ssh.Request)
	s.tasks.Go(func() {
		defer close(forced)
		for request := range requests {
			switch request.Type {
			case machine.Shell, machine.Exec, machine.Subsystem:
				if asked := commandOf(request); asked != "" {
					forced <- &ssh.Request{Type: "env", Payload: ssh.Marshal(sshconn.EnvRequest{Name: originalCommand, Value: asked})}
				}
				setCommand(request, s.by.Forced())
			case "env":
				if setsVariable(request, originalCommand) {
					sshconn.Reply(request, false, nil)
					continue
				}
			}
			forced <- request
		}
	})
	return forced
}

// commandOf is what a request would start; "" for a shell.
func commandOf(request *ssh.Request) string {
	var asked sshconn.ExecRequest // a subsystem's name lies in the same place
	if request.Type == machine.Shell || ssh.Unmarshal(request.Payload, &asked) != nil {
		return ""
	}
	return asked.Command
}

// setCommand makes a request one that starts a forced command.
func setCommand(request *ssh.Request, command string) {
	if command == auth.InternalSftp {
		request.Type, request.Payload = machine.Subsystem, ssh.Marshal(sshconn.SubsystemRequest{Name: "sftp"})
		return
	}
	request.Type, request.Payload = machine.Exec, ssh.Marshal(sshconn.ExecRequest{Command: command})
}
