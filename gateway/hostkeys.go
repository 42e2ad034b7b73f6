package gateway

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"

	"github.com/berth-ssh/berth/sshconn"
	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
)

// Requests of OpenSSH's PROTOCOL, section 2.5.
const (
	hostKeysRequest = "hostkeys-00@openssh.com"
	proveRequest    = "hostkeys-prove-00@openssh.com"
)

// HostKeys are the gateway's own keys, which its clients know. Their signers may call
// another process.
type HostKeys struct {
	Key    ssh.Signer   // ed25519, shown to every client that knows this kind
	Others []ssh.Signer // shown to the other clients
	Next   []ssh.Signer // will be shown in future; clients are only told of them now
}

// Fixed returns k itself. Its method value can be a [Server]'s HostKeys.
func (k HostKeys) Fixed(bool) (HostKeys, error) { return k, nil }

func (k HostKeys) all() []ssh.Signer { return slices.Concat([]ssh.Signer{k.Key}, k.Others, k.Next) }

// addHostKeys adds the keys that the client may be shown. The client's order would
// choose among several, and many clients prefer other kinds to ed25519. So the others
// are added only for a client that does not accept ed25519.
func (c *conn) addHostKeys(config *ssh.ServerConfig, hello wire.Hello) error {
	others := hello.HostKeys != nil && !slices.Contains(hello.HostKeys, ssh.KeyAlgoED25519)
	var err error
	if c.hostKeys.HostKeys, err = c.server.HostKeys(others); err != nil {
		return err
	}
	config.AddHostKey(c.hostKeys.Key)
	if others {
		for _, key := range c.hostKeys.Others {
			config.AddHostKey(key)
		}
	}
	return nil
}

// announced tells a client of the gateway's host keys after the login, as sshd does.
// A client with OpenSSH's UpdateHostKeys then asks for a proof of each key that it
// does not know, and stores it. So it knows the next key before that is shown.
type announced struct {
	HostKeys
	session   []byte // session id, which the proofs sign
	algorithm string // of the host key that was shown
	asked     bool   // for proofs, which are given only once
}

// announce tells the client of the keys. The returned connection answers the client's
// request for proofs.
func (a *announced) announce(conn sshconn.Conn) sshconn.Conn {
	a.session = conn.SessionID()
	if server, ok := conn.Conn.(*ssh.ServerConn); ok {
		if known, ok := server.Conn.(ssh.AlgorithmsConnMetadata); ok {
			a.algorithm = known.Algorithms().HostKey
		}
	}
	if !cannotBeTold(conn.ClientVersion()) {
		var keys []byte
		for _, key := range a.all() {
			keys = append(keys, ssh.Marshal(struct{ Key []byte }{key.PublicKey().Marshal()})...)
		}
		conn.SendRequest(hostKeysRequest, false, keys)
	}
	return conn.Admitting(func(arrived sshconn.Arrival) (sshconn.Arrival, bool) {
		if arrived.Request == nil || arrived.Request.Type != proveRequest {
			return arrived, true
		}
		proofs, ok := a.prove(arrived.Request.Payload)
		sshconn.Reply(arrived.Request, ok, proofs)
		return arrived, false
	})
}

// cannotBeTold reports whether the client would end its connection when it is told of
// keys. Tera Term before 2.73 does; OpenSSH's sshd knows this, too.
func cannotBeTold(version []byte) bool {
	software, isTeraTerm := strings.CutPrefix(string(version), "SSH-2.0-TTSSH/")
	old := []string{"1.5.", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.70", "2.71", "2.72"}
	return isTeraTerm && slices.ContainsFunc(old, func(prefix string) bool { return strings.HasPrefix(software, prefix) })
}

// prove signs a proof for each of the named keys. Since signing costs time, it signs
// only for keys that were announced, and only once for each.
func (a *announced) prove(named []byte) (proofs []byte, ok bool) {
	if a.asked {
		return nil, false
	}
	a.asked = true
	left := a.all()
	for len(named) > 0 {
		var next struct {
			Key  []byte
			Rest []byte `ssh:"rest"`
		}
		if ssh.Unmarshal(named, &next) != nil {
			return nil, false
		}
		named = next.Rest
		i := slices.IndexFunc(left, func(key ssh.Signer) bool { return bytes.Equal(key.PublicKey().Marshal(), next.Key) })
		if i < 0 {
			return nil, false
		}
		signature, err := a.sign(left[i], next.Key)
		if err != nil {
			return nil, false
		}
		proofs = append(proofs, ssh.Marshal(struct{ Signature []byte }{ssh.Marshal(signature)})...)
		left = slices.Delete(left, i, i+1)
	}
	return proofs, len(proofs) > 0
}

// sign signs one proof. A client that was shown an RSA key expects RSA signatures
// with the same hash.
func (a *announced) sign(key ssh.Signer, public []byte) (*ssh.Signature, error) {
	proof := ssh.Marshal(struct {
		Request      string
		Session, Key []byte
	}{proveRequest, a.session, public})
	rsa, isRSA := key.(ssh.AlgorithmSigner)
	if !isRSA || key.PublicKey().Type() != ssh.KeyAlgoRSA {
		return key.Sign(rand.Reader, proof)
	}
	if a.algorithm == ssh.KeyAlgoRSASHA256 {
		return rsa.SignWithAlgorithm(rand.Reader, proof, ssh.KeyAlgoRSASHA256)
	}
	return rsa.SignWithAlgorithm(rand.Reader, proof, ssh.KeyAlgoRSASHA512)
}
