package gateway

import (
	"errors"
	"time"

	"berth/audit"
	"berth/auth"
	"berth/sshconn"

	"golang.org/x/crypto/ssh"
)

const (
	// loginGrace is how long a person may take to log in: OpenSSH's default
	// is twice that, for people who look for their password.
	loginGrace = time.Minute

	// maxAuthTries allows for an agent full of keys.
	maxAuthTries = 10

	// version begins as OpenSSH's does: only to such a peer its own clients and
	// servers say eow@openssh.com, without which "ssh host yes | head -1" never
	// ends. The number is for npm's ssh2, which asks nobody below 5 for unix
	// sockets, and for paramiko, which takes 10 for 1 and its RSA for SHA-1.
	version = "SSH-2.0-OpenSSH_9.9 Berth"
)

// identityKey is where the successful attempt's identity travels
// (ssh.Permissions).
type identityKey struct{}

// handshake makes the transport (RFC 4253) and authenticates the person
// (RFC 4252). It returns within loginGrace: x/crypto sets no deadline itself.
func (c *conn) handshake() (sshconn.Conn, auth.Identity, error) {
	hello, err := c.wire.Meet(version, time.Now().Add(loginGrace))
	if err != nil {
		return sshconn.Conn{}, auth.Identity{}, err
	}
	config := c.serverConfig()
	config.Ciphers = ciphersFor(hello, config.Ciphers)
	conn, channels, requests, err := ssh.NewServerConn(c.bytes, config)
	if err != nil {
		return sshconn.Conn{}, auth.Identity{}, err
	}
	c.wire.SetDeadline(time.Time{})
	who, ok := conn.Permissions.ExtraData[identityKey{}].(auth.Identity)
	if !ok {
		conn.Close()
		return sshconn.Conn{}, auth.Identity{}, errors.New("logged in without an identity")
	}
	c.log.Info("logged in", "login", who.Login.String(), "client", string(conn.ClientVersion()))
	return sshconn.Conn{Conn: conn, Channels: channels, Requests: requests}, who, nil
}

func (c *conn) serverConfig() *ssh.ServerConfig {
	first := c.steps(nil, auth.ByPublicKey, auth.ByPassword)
	config := &ssh.ServerConfig{
		Config:        algorithms(),
		ServerVersion: version,
		MaxAuthTries:  maxAuthTries,
		PublicKeyAuthAlgorithms: []string{
			ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
			ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
			ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
		},
		PublicKeyCallback:         first.PublicKeyCallback,
		VerifiedPublicKeyCallback: c.keyProved,
		PasswordCallback:          first.PasswordCallback,
		AuthLogCallback:           c.logAttempt,
		PreAuthConnCallback:       func(preAuth ssh.ServerPreAuthConn) { c.preAuth = preAuth },
	}
	config.AddHostKey(c.server.HostKey)
	return config
}

// logAttempt logs what failed. "none" fails always: it asks which methods
// there are.
func (c *conn) logAttempt(meta ssh.ConnMetadata, method string, err error) {
	if err == nil || method == "none" || isStep(err) {
		return
	}
	login := "not a login" // it may be a password in the wrong field
	if parsed, err := auth.ParseLogin(meta.User()); err == nil {
		login = parsed.String()
	}
	c.server.Audit.Write(audit.LoginTried{Conn: c.auditConn(), Login: login, Method: method})
	c.log.Info("attempt failed", "login", login, "method", method)
}

// algorithms leave out what is broken or slow. The client's order decides, and
// OpenSSH's begins with chacha20-poly1305, for which Go has no assembly on
// amd64: it is left out where the processor has AES instructions. The MACs
// without -etm are for libssh2 before 1.11.
func algorithms() ssh.Config {
	config := ssh.Config{
		KeyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
			ssh.KeyExchangeDH14SHA256, ssh.KeyExchangeDH16SHA512,
		},
		Ciphers: []string{
			ssh.CipherAES128GCM, ssh.CipherAES256GCM,
			ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR,
		},
		MACs: []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
	}
	if !hasAES() {
		config.Ciphers = append(config.Ciphers, ssh.CipherChaCha20Poly1305)
	}
	return config
}
