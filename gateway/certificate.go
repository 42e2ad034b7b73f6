package gateway

import (
	"crypto/ed25519"
	"crypto/rand"
	"time"

	"berth/auth"

	"golang.org/x/crypto/ssh"
)

const (
	certificateLife = time.Minute
	clockSkew       = time.Minute // between this machine and one whose sshd is elsewhere
)

// newCertificate makes a key and certifies it for one login: a minute's life,
// the account as its one principal, the person's name as key id, so that the
// container's log says who came. It permits no more than the credential does by
// which the person came here.
func newCertificate(ca ssh.Signer, person, account string, permits *auth.Permits) (ssh.Signer, error) {
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
		Permissions:     ssh.Permissions{Extensions: extensions(permits)},
	}
	if err := certificate.SignCert(rand.Reader, ca); err != nil {
		return nil, err
	}
	return ssh.NewCertSigner(certificate, signer)
}

// extensions say what the host's sshd may do (OpenSSH's PROTOCOL.certkeys).
func extensions(permits *auth.Permits) map[string]string {
	said := map[string]string{}
	for extension, permitted := range map[string]bool{
		"permit-agent-forwarding": permits.MayAgent(),
		"permit-port-forwarding":  permits.MayListenAny(),
		"permit-pty":              permits.MayPty(),
		"permit-user-rc":          permits.MayUserRC(),
		"permit-X11-forwarding":   permits.MayX11(),
	} {
		if permitted {
			said[extension] = ""
		}
	}
	return said
}
