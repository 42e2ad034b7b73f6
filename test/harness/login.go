package harness

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Enter returns a connection of x/crypto's client. It ends with the test, or if it
// lasts too long.
func (to Target) Enter(t *testing.T) *ssh.Client {
	t.Helper()
	raw, err := net.Dial("tcp", to.Address)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(3 * Patience))
	client, err := to.LogIn(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// Dial returns a connection of x/crypto's client, which the caller must close.
func (to Target) Dial(t *testing.T) (*ssh.Client, error) {
	t.Helper()
	raw, err := net.DialTimeout("tcp", to.Address, 3*Patience)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(3 * Patience)) // for the login
	client, err := to.LogIn(t, raw)
	if err != nil {
		raw.Close()
		return nil, err
	}
	raw.SetDeadline(time.Time{})
	return client, nil
}

// LogIn logs in on a connection to the target. The error is that of the connection.
func (to Target) LogIn(t *testing.T, conn net.Conn) (*ssh.Client, error) {
	return to.LogInBy(t, conn, func(own ssh.Signer) []ssh.Signer { return []ssh.Signer{own} })
}

// LogInBy is LogIn by what keys makes of the door's own key.
func (to Target) LogInBy(t *testing.T, conn net.Conn, keys func(own ssh.Signer) []ssh.Signer) (*ssh.Client, error) {
	config, err := to.clientConfig(keys)
	if err != nil {
		t.Error(err)
		return nil, err
	}
	connection, channels, requests, err := ssh.NewClientConn(conn, to.Address, config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(connection, channels, requests), nil
}

func (to Target) clientConfig(keys func(own ssh.Signer) []ssh.Signer) (*ssh.ClientConfig, error) {
	hostKey, err := knownhosts.New(to.KnownHosts)
	if err != nil {
		return nil, err
	}
	signer, err := to.signer()
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		User: to.Login, Auth: []ssh.AuthMethod{ssh.PublicKeys(keys(signer)...)}, HostKeyCallback: hostKey,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		ClientVersion:     "SSH-2.0-OpenSSH_test", // so that eow@openssh.com is said, too
	}, nil
}

// signer returns the door's key, with the certificate beside it if there is one.
func (to Target) signer() (ssh.Signer, error) {
	text, err := os.ReadFile(to.Key)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	text, err = os.ReadFile(to.Key + "-cert.pub")
	if errors.Is(err, os.ErrNotExist) {
		return signer, nil
	}
	if err != nil {
		return nil, err
	}
	certificate, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, err
	}
	return ssh.NewCertSigner(certificate.(*ssh.Certificate), signer)
}
