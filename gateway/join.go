package gateway

import (
	"bytes"
	"context"
	"errors"
	"net"
	"time"

	"berth/hosts"
	"berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// joinTimeout bounds the handshake with a host's sshd.
const joinTimeout = 20 * time.Second

var errHostKey = errors.New("it shows another host key than the one pinned to it")

// errUserRC is why a credential without user-rc enters no host by its key_file:
// only a certificate tells an sshd not to run ~/.ssh/rc.
const errUserRC = "runs ~/.ssh/rc, which the key that logged in does not permit (no-user-rc, restrict)"

// join is the mechanism for a host that speaks SSH: two connections are joined.
type join struct {
	*conn
	host end
	to   target
}

func (j join) run(ctx context.Context, client sshconn.Conn) {
	ended := make(chan struct{})
	defer close(ended)
	j.tasks.Go(func() { j.keepAlive(j.host, "host", ended) })
	stop := context.AfterFunc(ctx, func() { j.host.Close() })
	defer stop()
	host := end{Conn: j.permitted(j.to.permits).host(j.host.Conn), wire: j.host.wire}
	relay(end{Conn: client, wire: j.wire}, host, j.tasks, j.to.person, func() string { return lost(ctx, j.to.Host) })
}

func (j join) close() { j.host.Close() }

// dial logs in to the host's sshd.
func (c *conn) dial(sshd *hosts.Sshd, to target) (end, error) {
	auth, err := c.authFor(sshd, to)
	if err != nil {
		sshd.Close()
		return end{}, err
	}
	w := c.server.wires.New(sshd.Conn)
	w.SetDeadline(time.Now().Add(joinTimeout))
	conn, channels, requests, err := ssh.NewClientConn(w, "", &ssh.ClientConfig{
		Config:            algorithms(),
		User:              to.Account,
		Auth:              auth,
		HostKeyCallback:   pinned(sshd.HostKeys),
		HostKeyAlgorithms: hostKeyAlgorithms(sshd.HostKeys),
		ClientVersion:     version,
	})
	if err != nil {
		w.Close()
		return end{}, refusedBySshd(err, sshd, to.Account)
	}
	w.SetDeadline(time.Time{})
	return end{Conn: sshconn.Conn{Conn: conn, Channels: channels, Requests: requests}, wire: w}, nil
}

// authFor is how the gateway logs in to an sshd for a person.
func (c *conn) authFor(sshd *hosts.Sshd, to target) ([]ssh.AuthMethod, error) {
	if sshd.Key != nil {
		if !to.permits.MayUserRC() {
			return nil, &hosts.Unreachable{Host: sshd.Host, Why: errUserRC}
		}
		return []ssh.AuthMethod{ssh.PublicKeys(sshd.Key)}, nil
	}
	certificate, err := newCertificate(c.server.UserCA, to.person, to.Account, to.permits)
	return []ssh.AuthMethod{ssh.PublicKeys(certificate)}, err
}

// whyNotTimeout bounds the question why an sshd refused; the answer is worth
// that much of a person's time.
const whyNotTimeout = 5 * time.Second

func refusedBySshd(err error, sshd *hosts.Sshd, account string) error {
	why := "does not let the gateway in as " + account + " (does its sshd trust the gateway's user CA?)"
	patience := sshd.Patience
	if errors.Is(err, errHostKey) {
		why = "is not who it was: " + errHostKey.Error() + "; recreate the container or ask the box's owner"
	} else if sshd.WhyNot != nil {
		ctx, cancel := context.WithTimeout(context.Background(), whyNotTimeout)
		defer cancel()
		if known := sshd.WhyNot(ctx); known != "" {
			why, patience = known, 0
		}
	}
	return &hosts.Unreachable{Host: sshd.Host, Why: why, Cause: err, Patience: patience}
}

// pinned accepts the keys that the host is known to have, compared whole.
func pinned(keys []ssh.PublicKey) ssh.HostKeyCallback {
	return func(_ string, _ net.Addr, shown ssh.PublicKey) error {
		for _, key := range keys {
			if bytes.Equal(key.Marshal(), shown.Marshal()) {
				return nil
			}
		}
		return errHostKey
	}
}

// hostKeyAlgorithms makes the host show a key of a kind that is pinned.
func hostKeyAlgorithms(keys []ssh.PublicKey) []string {
	var algorithms []string
	for _, key := range keys {
		if key.Type() == ssh.KeyAlgoRSA {
			algorithms = append(algorithms, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		algorithms = append(algorithms, key.Type())
	}
	return algorithms
}
