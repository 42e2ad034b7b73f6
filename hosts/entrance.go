package hosts

import (
	"context"
	"net"
	"time"

	"github.com/berth-ssh/berth/machine"

	"golang.org/x/crypto/ssh"
)

// Entrance is an open way into a host, for one connection of a person. Either Machine
// or Sshd is set; the caller must close it.
type Entrance struct {
	Machine machine.Machine // the gateway serves SSH for this machine
	Sshd    *Sshd           // the client is joined with this SSH server
	Before  Before

	// WhyLost returns, for the person, why the host has gone away: "is gone: its
	// container was removed"; "" if that is not known. It may take some seconds. It
	// may be nil.
	WhyLost func() string
}

// Before is how the host's previous run ended, while the host runs again; the zero
// value if there was none, or if the source does not know.
type Before struct {
	Ended time.Time
	Since time.Time                    // when the present run began
	Why   func(context.Context) string // a line, "" where nobody knows; takes a few seconds at most
}

// Sshd is a connection to an SSH server.
type Sshd struct {
	net.Conn
	Host     string          // its name, for messages
	HostKeys []ssh.PublicKey // the sshd must show one of these
	Key      ssh.Signer      // to log in with; nil: use a certificate of the user CA
	Patience time.Duration   // how long it is worth trying again if the sshd refuses the gateway

	// WhyNot returns why the sshd does not let the account in, if asking tells: "has
	// no account anna"; "" otherwise. It may be nil.
	WhyNot func(context.Context) string
}

// dialTimeout bounds the connect to a host's sshd.
const dialTimeout = 5 * time.Second

// DialSshd connects to a host's sshd at an address that its source knows. It waits
// for at most 5 seconds. Errors are *[Unreachable].
func DialSshd(ctx context.Context, host, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &Unreachable{Host: host, Why: "does not answer: nothing listens on its ssh port (is its sshd up?)", Cause: err}
	}
	return conn, nil
}
