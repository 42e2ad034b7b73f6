package keeper

import (
	"crypto/ed25519"
	"crypto/rand"
	"time"

	"github.com/berth-ssh/berth/auth"

	"golang.org/x/crypto/ssh"
)

const (
	certificateLife = time.Minute
	clockSkew       = time.Minute // between this machine and one whose sshd is elsewhere
)

// newCertificate creates a key and a certificate for one login: it is valid for a
// minute, for the account as its only principal, with the person's name as key id,
// which the container's log then shows. It permits no more than the grant does.
func newCertificate(ca ssh.Signer, person, account string, grant auth.Restrictions) (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	certificate := &ssh.Certificate{
		Key:             signer.PublicKey(),
		CertType:        ssh.UserCert,
		KeyId:           person,
		ValidPrincipals: []string{account},
		ValidAfter:      uint64(now.Add(-clockSkew).Unix()),
		ValidBefore:     uint64(now.Add(certificateLife).Unix()),
		Permissions:     ssh.Permissions{Extensions: extensions(grant)},
	}
	if err := certificate.SignCert(rand.Reader, ca); err != nil {
		return nil, err
	}
	return ssh.NewCertSigner(certificate, signer)
}

// extensions returns the permissions that a certificate can give or withhold at an
// sshd (OpenSSH's PROTOCOL.certkeys).
func extensions(grant auth.Restrictions) map[string]string {
	permit := map[string]string{}
	if !grant.NoPty {
		permit["permit-pty"] = ""
	}
	if !grant.NoUserRC {
		permit["permit-user-rc"] = ""
	}
	if !grant.NoAgent {
		permit["permit-agent-forwarding"] = ""
	}
	if !grant.NoX11 {
		permit["permit-X11-forwarding"] = ""
	}
	if !grant.NoLocal || !grant.NoRemote || !grant.NoStreamlocal {
		permit["permit-port-forwarding"] = ""
	}
	return permit
}
