package gateway

import (
	"bytes"
	"errors"
	"net"
	"time"

	"berth/hosts"
	"berth/session"

	"golang.org/x/crypto/ssh"
)

// joinTimeout bounds the handshake with a host's sshd.
const joinTimeout = 20 * time.Second

var errHostKey = errors.New("it shows another host key than the one pinned to it")

// join logs in to the host's sshd and relays between the two connections until
// either is gone. An error means that there is nothing to relay.
func (c *conn) join(client session.Conn, sshd *hosts.Sshd, person, account string) error {
	inner, err := c.dial(sshd, person, account)
	if err != nil {
		return err
	}
	relay(end{Conn: client, wire: c.wire}, inner, c.tasks)
	return nil
}

// dial makes the connection inward, as the account.
func (c *conn) dial(sshd *hosts.Sshd, person, account string) (end, error) {
	key := sshd.Key
	if key == nil {
		certificate, err := newCertificate(c.server.UserCA, person, account)
		if err != nil {
			sshd.Close()
			return end{}, err
		}
		key = certificate
	}
	w := newWire(sshd.Conn)
	w.SetDeadline(time.Now().Add(joinTimeout))
	conn, channels, requests, err := ssh.NewClientConn(w, "", &ssh.ClientConfig{
		Config:            algorithms(),
		User:              account,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback:   pinned(sshd.HostKeys),
		HostKeyAlgorithms: hostKeyAlgorithms(sshd.HostKeys),
		ClientVersion:     version,
	})
	if err != nil {
		w.Close()
		return end{}, refusedBySshd(err, sshd.Host, account)
	}
	w.SetDeadline(time.Time{})
	return end{Conn: session.Conn{Conn: conn, Channels: channels, Requests: requests}, wire: w}, nil
}

func refusedBySshd(err error, host, account string) error {
	why := "does not let the gateway in as " + account + " (does its sshd trust the gateway's user CA?)"
	if errors.Is(err, errHostKey) {
		why = "is not who it was: " + errHostKey.Error() + "; recreate the container or ask the box's owner"
	}
	return &hosts.Unreachable{Host: host, Why: why, Cause: err}
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
