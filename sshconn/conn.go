package sshconn

import (
	"strings"

	"golang.org/x/crypto/ssh"
)

// MaxChannels is how many channels one connection may have open. A browser
// behind -D opens forwards by the hundred, and every open channel may hold a
// window of memory.
const MaxChannels = 1000

// MaxForwards is how many listeners one connection may hold (ssh -R).
const MaxForwards = 500

// Conn is an authenticated SSH connection as x/crypto hands it out.
type Conn struct {
	ssh.Conn
	Channels <-chan ssh.NewChannel
	Requests <-chan *ssh.Request
}

// IsOpenSSH reports whether a peer of this version knows OpenSSH's own requests.
func IsOpenSSH(version []byte) bool {
	return strings.HasPrefix(string(version), "SSH-2.0-OpenSSH")
}

// Reply answers a request, if it wants an answer.
func Reply(request *ssh.Request, ok bool, payload []byte) {
	if request.WantReply {
		request.Reply(ok, payload)
	}
}
