package gateway

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// sshdTimeout bounds the handshake with a host's sshd.
const sshdTimeout = 20 * time.Second

// sshdRoute is the route to a host that has an sshd: the client's connection is
// joined with one to the sshd (see relay).
type sshdRoute struct {
	*conn
	host    end
	to      target
	whyLost func() string // may be nil
}

func (r sshdRoute) run(ctx context.Context, client sshconn.Conn) {
	stopAsking := r.keepAlive(r.host, "host")
	defer stopAsking()
	stop := context.AfterFunc(ctx, func() { r.host.Close() })
	defer stop()
	host := r.host
	host.Conn = r.to.gate.Host(host.Conn)
	relay(end{Conn: client, wire: r.wire}, host, r.tasks, r.to, func() string { return lost(ctx, r.to.Host, r.whyLost) })
}

func (r sshdRoute) close() { r.host.Close() }

// dial logs in to the host's sshd.
func (c *conn) dial(sshd *hosts.Sshd, to target) (end, error) {
	w := c.server.wires.New(sshd.Conn)
	var banner string
	w.SetDeadline(time.Now().Add(sshdTimeout))
	exchange := &hostExchange{Conn: w, rekeys: newRekeys(c.ssh.rekeys.open, c.stranger)}
	conn, channels, requests, err := ssh.NewClientConn(exchange, "", &ssh.ClientConfig{
		Config:            algorithmsForHosts(),
		User:              to.Account,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(sshd.Key)},
		HostKeyCallback:   pinned(sshd.HostKeys),
		HostKeyAlgorithms: hostKeyAlgorithms(sshd.HostKeys),
		ClientVersion:     version,
		BannerCallback: func(text string) error {
			banner = text[:min(len(text), maxBanner)]
			return nil
		},
	})
	if err != nil {
		exchange.Close()
		return end{}, refusedBySshd(err, banner, sshd, to.Account)
	}
	exchange.loggedIn.Store(true)
	w.SetDeadline(time.Time{})
	return end{Conn: sshconn.Conn{Conn: conn, Channels: channels, Requests: requests}, wire: w, banner: banner}, nil
}

// pinned accepts only host keys that are equal to a pinned one.
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

// hostKeyAlgorithms returns the algorithms that make the host show a key of a pinned
// kind.
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
