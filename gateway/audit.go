package gateway

import (
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/recorder"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

func (c *conn) auditConn() audit.Conn {
	return audit.Conn{Conn: c.id, Remote: c.wire.RemoteAddr().String()}
}

// auditLogin writes an event for the finished login. If it fails, the person must not
// go on.
func (c *conn) auditLogin(client sshconn.Conn, who auth.Identity) error {
	return c.server.Audit.Write(audit.LoggedIn{
		Conn: c.auditConn(), User: who.User, Login: who.Login.String(),
		Client: string(client.ClientVersion()), Steps: auditSteps(who),
		Exchange: time.Duration(c.exchange.Load()).Seconds(), Seconds: time.Since(c.began).Seconds(),
	})
}

// auditSteps returns the steps of a login in their order.
func auditSteps(who auth.Identity) []audit.Step {
	var steps []audit.Step
	if who.Before != nil {
		steps = auditSteps(*who.Before)
	}
	step := audit.Step{Method: string(who.Method), Service: string(who.Service)}
	if who.Method == auth.ByPublicKey || who.Service != "" { // the digest of a password's hash is nobody's business
		step.Credential = who.Credential
	}
	if c := who.Certificate; c != nil {
		step.Certificate = &audit.Certificate{ID: c.KeyId, Serial: c.Serial, Authority: ssh.FingerprintSHA256(c.SignatureKey)}
	}
	return append(steps, step)
}

// auditEntry writes an event for the entered host, and returns what records the
// actions there. If it fails, no action there is allowed.
func (c *conn) auditEntry(who auth.Identity, to *reached, login time.Time) (*recorder.Recorder, error) {
	r := &recorder.Recorder{Log: c.server.Audit, Who: audit.Who{Conn: c.auditConn(), User: who.User, Host: to.host.Name}}
	return r, r.Log.Write(audit.Entered{Who: r.Who, Account: to.account, Route: to.host.Route, Container: to.host.Container, Seconds: time.Since(login).Seconds()})
}

// auditLeft writes an event for the end of a connection to a host.
func (c *conn) auditLeft(r *recorder.Recorder, after time.Duration, ended *Ended) {
	left := audit.Left{Who: r.Who, Seconds: after.Seconds(), Up: c.bytes.up.Load(), Down: c.bytes.down.Load()}
	if ended != nil {
		left.Why = ended.Reason
	}
	r.Log.Write(left)
}
