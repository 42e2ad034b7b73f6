package gate

import (
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// noMoreSessions is what a client says that will open no session any more
// (OpenSSH's PROTOCOL, §2.2).
const noMoreSessions = "no-more-sessions@openssh.com"

// word is what a client has said of itself, and is held to. Whoever breaks it is
// not the client that said it, but has got hold of its connection; that ends, as
// with sshd.
type word struct {
	gate           *Gate
	conn           sshconn.Conn
	noMoreSessions bool
}

func (w *word) admit(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
	switch {
	case arrived.Request != nil && arrived.Request.Type == noMoreSessions:
		w.noMoreSessions = w.conn.InTurn() // or it may have overtaken the session before it
		sshconn.Reply(arrived.Request, true, nil)
		return arrived, false
	case w.noMoreSessions && arrived.Channel != nil && arrived.Channel.ChannelType() == "session":
		w.gate.Log.Warn("ended", "why", "a session was opened after "+noMoreSessions)
		arrived.Channel.Reject(ssh.Prohibited, "there were to be no more sessions")
		w.conn.Close()
		return arrived, false
	}
	return w.gate.admitFromClient(arrived)
}
