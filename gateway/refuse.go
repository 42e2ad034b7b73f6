package gateway

import (
	"errors"
	"strings"
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// refusalTimeout is how long a refused client may take to ask for a session and to
// read the reason.
const refusalTimeout = 10 * time.Second

// refuse tells a person who is logged in why there is no host. It opens each session,
// writes the line to its stderr and ends it with status 255: a rejected channel would
// show nothing under ssh -q or through scp. Other channels are rejected with the
// line.
func (c *conn) refuse(client sshconn.Conn, who auth.Identity, why error) {
	c.server.Audit.Write(audit.Refused{Conn: c.auditConn(), User: who.User, Why: why.Error()})
	if unreachable, ok := errors.AsType[*hosts.Unreachable](why); ok {
		c.log.Warn("refused", "why", unreachable.Error(), "cause", unreachable.Cause)
	} else {
		c.log.Info("refused", "why", why)
	}
	text := printable.Text(why.Error()) // names of hosts and accounts come from labels, which may contain anything
	c.wire.SetDeadline(time.Now().Add(refusalTimeout))
	sshconn.NewOrder(client).Serve(func(arrived sshconn.Arrival) {
		channel := arrived.Channel
		switch {
		case arrived.Request != nil:
			sshconn.Reply(arrived.Request, false, nil)
		case channel.ChannelType() != "session":
			channel.Reject(ssh.Prohibited, text)
		default:
			if ch, requests, err := channel.Accept(); err == nil {
				c.tasks.Go(func() { refuseSession(ch, requests, text) })
			}
		}
	})
}

func refuseSession(ch ssh.Channel, requests sshconn.Requests, why string) {
	defer ch.Close()
	newline := "\n"
	for request := range requests {
		if request.WantReply {
			request.Reply(true, nil)
		}
		switch request.Type {
		case "pty-req":
			newline = "\r\n" // the client's terminal is raw by then
		case machine.Shell, machine.Exec, machine.Subsystem:
			ch.Stderr().Write([]byte(strings.ReplaceAll("berth: "+why+"\n", "\n", newline)))
			exit := sshconn.ExitStatus(255)
			ch.SendRequest(exit.Request, false, exit.Payload)
			ch.CloseWrite()
			ch.Close()
		}
	}
}
