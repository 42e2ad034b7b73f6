package parity

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// wrongSignature is what a token without its owner's touch gives: one failed attempt,
// after which the client tries its other keys.
func wrongSignature(t *testing.T, to harness.Target) {
	conn, err := net.Dial("tcp", to.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(harness.Patience))
	c, err := to.LogInBy(t, conn, func(own ssh.Signer) []ssh.Signer { return []ssh.Signer{signsWrongly{own}, own} })
	if err != nil {
		t.Fatal(err)
	}
	wantAlive(t, c)
}

type signsWrongly struct{ ssh.Signer }

func (s signsWrongly) Sign(from io.Reader, data []byte) (*ssh.Signature, error) {
	return s.Signer.Sign(from, append(data, 1))
}
