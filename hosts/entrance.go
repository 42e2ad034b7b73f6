package hosts

import (
	"context"
	"net"
	"time"

	"github.com/berth-ssh/berth/machine"

	"golang.org/x/crypto/ssh"
)

// Entrance is an open way into a host, for one connection of a person. Either its
// machine or its sshd is set, and is the caller's to close.
type Entrance struct {
	Machine machine.Machine // be this machine's SSH server
	Sshd    *Sshd           // join this SSH server
	Before  Before

	// WhyLost says why what was entered has gone away, for the person: "is gone: its
	// container was removed"; "" where that is not known. It waits for some seconds at
	// most. It may be nil.
	WhyLost func() string
}

// Before is how the host's last run ended that is over, while it runs again; the zero
// value where there was none, or the source does not know.
type Before struct {
	Ended time.Time
	Since time.Time                    // from when on it runs again
	Why   func(context.Context) string // a line, "" where nobody knows; takes a few seconds at most
}

// Sshd is a connection to an SSH server.
type Sshd struct {
	net.Conn
	Host     string          // its name, for messages
	HostKeys []ssh.PublicKey // it must show one of these
	Key      ssh.Signer      // logs in; nil: a certificate of the user CA does
	Patience time.Duration   // how long it is worth trying again if it does not let us in

	// WhyNot says why it does not let the account in, as what it asks tells: "has no
	// account anna"; "" where it tells nothing. It may be nil.
	WhyNot func(context.Context) string
}

// dialTimeout bounds the connect to a host's sshd.
const dialTimeout = 5 * time.Second

// DialSshd connects to a host's sshd at an address that its source knows. It
// waits 5 seconds at most. Errors are *[Unreachable].
func DialSshd(ctx context.Context, host, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &Unreachable{Host: host, Why: "does not answer: nothing listens on its ssh port (is its sshd up?)", Cause: err}
	}
	return conn, nil
}
