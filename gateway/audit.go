package gateway

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"berth/audit"
	"berth/auth"
	"berth/machine"
	"berth/sshconn"

	"golang.org/x/crypto/ssh"
)

func (c *conn) auditConn() audit.Conn {
	return audit.Conn{Conn: c.id, Remote: c.wire.RemoteAddr().String()}
}

// auditLogin writes that a login is over. Where it cannot, the person must not
// go on.
func (c *conn) auditLogin(client sshconn.Conn, who auth.Identity) error {
	return c.server.Audit.Write(audit.LoggedIn{
		Conn: c.auditConn(), User: who.User, Login: who.Login.String(),
		Client: string(client.ClientVersion()), Steps: auditSteps(who),
	})
}

// auditSteps are the steps of a login, the first one first.
func auditSteps(who auth.Identity) []audit.Step {
	var steps []audit.Step
	if who.Before != nil {
		steps = auditSteps(*who.Before)
	}
	step := audit.Step{Method: string(who.Method)}
	if who.Method == auth.ByPublicKey { // the digest of a password's hash is nobody's business
		step.Credential = who.Credential
	}
	if c := who.Certificate; c != nil {
		step.Certificate = &audit.Certificate{ID: c.KeyId, Serial: c.Serial, Authority: ssh.FingerprintSHA256(c.SignatureKey)}
	}
	return append(steps, step)
}

// audited writes down what is done on a connection that has entered a host.
type audited struct {
	*conn
	who      audit.Who
	sessions *atomic.Uint64
}

// auditEntry writes that a host was entered. Where it cannot, nothing may be done
// there.
func (c *conn) auditEntry(who auth.Identity, to *reached) (*audited, error) {
	a := &audited{c, audit.Who{Conn: c.auditConn(), User: who.User, Host: to.host.Name}, &atomic.Uint64{}}
	return a, c.server.Audit.Write(audit.Entered{Who: a.who, Account: to.account, Route: to.host.Route, Container: to.host.Container})
}

func (a *audited) left(after time.Duration, ended *Ended) {
	left := audit.Left{Who: a.who, Seconds: after.Seconds(), Up: a.bytes.up.Load(), Down: a.bytes.down.Load()}
	if ended != nil {
		left.Why = ended.Reason
	}
	a.server.Audit.Write(left)
}

// client is a client's connection that is watched. What cannot be written is
// refused before whoever serves the connection hears of it.
func (a *audited) client(conn sshconn.Conn) sshconn.Conn {
	if a.server.Audit == nil {
		return conn
	}
	return conn.Admitting(a.admit)
}

func (a *audited) admit(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
	switch {
	case arrived.Channel != nil:
		if err := a.open(arrived.Channel); err != nil {
			arrived.Channel.Reject(ssh.Prohibited, err.Error())
			return arrived, false
		}
		if arrived.Channel.ChannelType() == "session" {
			arrived.Channel = auditedChannel{arrived.Channel, a}
		}
	case arrived.Request != nil:
		if a.request(arrived.Request) != nil {
			sshconn.Reply(arrived.Request, false, nil)
			return arrived, false
		}
	}
	return arrived, true
}

// open writes that a channel into the host is asked for.
func (a *audited) open(channel ssh.NewChannel) error {
	switch channel.ChannelType() {
	case "direct-tcpip":
		var to sshconn.DirectTCPIP
		if ssh.Unmarshal(channel.ExtraData(), &to) == nil {
			return a.server.Audit.Write(audit.Forward{Who: a.who, To: hostPortText(to.Host, to.Port)})
		}
	case "direct-streamlocal@openssh.com":
		var to sshconn.DirectStreamlocal
		if ssh.Unmarshal(channel.ExtraData(), &to) == nil {
			return a.server.Audit.Write(audit.Forward{Who: a.who, To: to.Path})
		}
	}
	return nil
}

func hostPortText(host string, port uint32) string {
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}

// request writes that a listener is asked for.
func (a *audited) request(request *ssh.Request) error {
	switch request.Type {
	case "tcpip-forward":
		var at sshconn.TCPIPForward
		if ssh.Unmarshal(request.Payload, &at) == nil {
			return a.server.Audit.Write(audit.Listener{Who: a.who, At: hostPortText(at.Address, at.Port)})
		}
	case "streamlocal-forward@openssh.com":
		var at sshconn.StreamlocalForward
		if ssh.Unmarshal(request.Payload, &at) == nil {
			return a.server.Audit.Write(audit.Listener{Who: a.who, At: at.Path})
		}
	}
	return nil
}

// auditedChannel is a session channel that a client asks for.
type auditedChannel struct {
	ssh.NewChannel
	*audited
}

// Accept accepts the channel. The caller must read its requests until they are
// closed.
func (c auditedChannel) Accept() (ssh.Channel, <-chan *ssh.Request, error) {
	channel, requests, err := c.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	s := &auditedSession{Channel: channel, audited: c.audited, number: c.sessions.Add(1)}
	passed := make(chan *ssh.Request)
	c.tasks.Go(func() {
		defer close(passed)
		s.pass(requests, passed)
	})
	return s, passed, nil
}

// auditedSession is a session that is watched.
type auditedSession struct {
	ssh.Channel
	*audited
	number  uint64
	pty     bool
	asked   string // for, before a forced command
	started bool

	mu    sync.Mutex
	ended audit.SessionEnded
}

func (s *auditedSession) pass(requests <-chan *ssh.Request, passed chan<- *ssh.Request) {
	for request := range requests {
		if err := s.write(request); err != nil {
			io.WriteString(s.Stderr(), "berth: "+err.Error()+s.newline())
			sshconn.Reply(request, false, nil)
			continue
		}
		passed <- request
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		s.ended.Who, s.ended.Session = s.who, s.number
		s.server.Audit.Write(s.ended)
	}
}

func (s *auditedSession) newline() string {
	if s.pty { // the client's terminal is raw by now
		return "\r\n"
	}
	return "\n"
}

// commandOf is what a request would start; "" for a shell.
func commandOf(request *ssh.Request) string {
	var asked sshconn.ExecRequest // a subsystem's name lies in the same place
	if request.Type == machine.Shell || ssh.Unmarshal(request.Payload, &asked) != nil {
		return ""
	}
	return asked.Command
}

// write writes what a request asks for.
func (s *auditedSession) write(request *ssh.Request) error {
	switch request.Type {
	case "pty-req":
		s.pty = true
	case "env":
		var env sshconn.EnvRequest
		if ssh.Unmarshal(request.Payload, &env) == nil && env.Name == sshconn.OriginalCommand { // no client's: see package gate
			s.asked = env.Value
		}
	case machine.Shell, machine.Exec, machine.Subsystem:
		s.started = true
		return s.server.Audit.Write(audit.Session{Who: s.who, Session: s.number, Kind: request.Type, Command: commandOf(request), Asked: s.asked, Pty: s.pty})
	case "auth-agent-req@openssh.com", "agent-req":
		return s.server.Audit.Write(audit.Lent{Who: s.who, Session: s.number, What: "agent"})
	case "x11-req":
		return s.server.Audit.Write(audit.Lent{Who: s.who, Session: s.number, What: "x11"})
	}
	return nil
}

// SendRequest sends a request to the client, and keeps how the process ended
// (RFC 4254 §6.10).
func (s *auditedSession) SendRequest(name string, wantReply bool, payload []byte) (bool, error) {
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
