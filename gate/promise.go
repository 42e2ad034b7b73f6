package gate

import (
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// noMoreSessions is what a client says that will open no session any more
// (OpenSSH's PROTOCOL, §2.2).
const noMoreSessions = "no-more-sessions@openssh.com"

// promise is what a client has promised, and is held to. If it is broken, somebody else
// has got hold of the client's connection, which ends then, as with sshd.
type promise struct {
	gate           *Gate
	conn           sshconn.Conn
	noMoreSessions bool
}

func (p *promise) admit(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
	switch {
	case arrived.Request != nil && arrived.Request.Type == noMoreSessions:
		p.noMoreSessions = p.conn.InTurn() // otherwise it may have overtaken a session that was opened before it
		sshconn.Reply(arrived.Request, true, nil)
		return arrived, false
	case p.noMoreSessions && arrived.Channel != nil && arrived.Channel.ChannelType() == "session":
		p.gate.Log.Warn("ended", "why", "a session was opened after "+noMoreSessions)
		arrived.Channel.Reject(ssh.Prohibited, "there were to be no more sessions")
		p.conn.Close()
		return arrived, false
	}
	return p.gate.admitFromClient(arrived)
}
