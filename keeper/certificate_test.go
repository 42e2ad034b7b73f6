package keeper

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	"github.com/berth-ssh/berth/auth"

	"golang.org/x/crypto/ssh"
)

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// A stolen certificate is worth nothing soon, and nothing as another account.
func TestACertificateIsForOneAccountAndAMinute(t *testing.T) {
	ca := newSigner(t)
	signer, err := newCertificate(ca, "dev", "developer", auth.Restrictions{})
	if err != nil {
		t.Fatal(err)
	}
	certificate := signer.PublicKey().(*ssh.Certificate)
	checker := &ssh.CertChecker{IsUserAuthority: func(key ssh.PublicKey) bool {
		return bytes.Equal(key.Marshal(), ca.PublicKey().Marshal())
	}}
	if err := checker.CheckCert("developer", certificate); err != nil {
		t.Errorf("the account itself: %v", err)
	}
	if checker.CheckCert("root", certificate) == nil {
		t.Error("good for another account")
	}
	checker.Clock = func() time.Time { return time.Now().Add(2 * certificateLife) }
	if checker.CheckCert("developer", certificate) == nil {
		t.Error("good for more than a minute")
	}
	if certificate.KeyId != "dev" {
		t.Errorf("the container's log says %q came", certificate.KeyId)
	}
}
