package gateway

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/berth-ssh/berth/auth"

	"golang.org/x/crypto/ssh"
)

// securityKey is a FIDO security key in software (OpenSSH's PROTOCOL.u2f).
type securityKey struct {
	public  ssh.PublicKey
	private ed25519.PrivateKey
	flags   byte // 1: it was touched
}

const application = "ssh:"

func newSecurityKey(t *testing.T, flags byte) securityKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct{ Name, Key, Application string }{ssh.KeyAlgoSKED25519, string(public), application}))
	if err != nil {
		t.Fatal(err)
	}
	return securityKey{key, private, flags}
}

func (k securityKey) PublicKey() ssh.PublicKey { return k.public }

func (k securityKey) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	of, message := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	rest := []byte{k.flags, 0, 0, 0, 9}
	blob := append(append(of[:], rest...), message[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(k.private, blob), Rest: rest}, nil
}

// The attack: a program on a person's computer uses the security key that is plugged
// in, while nobody is there to touch it.
func TestASecurityKeyIsTouched(t *testing.T) {
	for _, tt := range []struct {
		options string
		flags   byte
		enters  bool
	}{{"", 1, true}, {"", 0, false}, {"restrict", 4, false}, {"no-touch-required", 0, true}} {
		key := newSecurityKey(t, tt.flags)
		g := startGateway(t, atMachine(newFakeMachine(echoes)))
		line, err := auth.ParseAuthorized(tt.options + " " + string(ssh.MarshalAuthorizedKey(key.public)))
		if err != nil {
			t.Fatal(err)
		}
		policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Authorized: []auth.Authorized{line}, Hosts: map[string]auth.Grant{"lab": {}}}})
		if err != nil {
			t.Fatal(err)
		}
		g.keeper.Policies.Replace(policy)
		client, err := g.dial("dev+lab", nil, ssh.PublicKeys(key))
		if (err == nil) != tt.enters {
			t.Errorf("%q, flags %d: %v", tt.options, tt.flags, err)
		}
		if err == nil {
			client.Close()
		}
	}
}
