package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/sshconn"
	"github.com/berth-ssh/berth/strangers"
	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
)

const (
	// loginGrace is how long a login may take. OpenSSH's default is twice that, for
	// people who look for their password.
	loginGrace = time.Minute

	// maxAuthTries is enough for an agent full of keys.
	maxAuthTries = 10

	// version begins like OpenSSH's. OpenSSH's clients and servers send
	// eow@openssh.com only to such a peer, and "ssh host yes | head -1" never ends
	// without it. The number is chosen for two clients: npm's ssh2 asks for unix
	// sockets only from 5 on, and paramiko takes 10 for 1 and then signs RSA with
	// SHA-1.
	version = "SSH-2.0-OpenSSH_9.9 Berth"
)

// errTooSlow is the cause when a login takes too long.
var errTooSlow = errors.New("the login takes too long")

// identityKey is the key in ssh.Permissions under which the identity of the
// successful attempt travels.
type identityKey struct{}

// handshake exchanges keys (RFC 4253) and authenticates the person (RFC 4252). It
// returns within loginGrace; x/crypto itself sets no deadline.
func (c *conn) handshake(ctx context.Context) (sshconn.Conn, auth.Identity, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.grace = time.AfterFunc(loginGrace, func() { cancel(errTooSlow) })
	defer c.grace.Stop()
	c.ssh.gone = cancel
	hello, err := c.wire.Meet(version, time.Now().Add(loginGrace))
	if errors.Is(err, wire.ErrSaidNothing) { // not an attempt to log in
		return sshconn.Conn{}, auth.Identity{}, err
	}
	if err != nil {
		c.failed("", strangers.FailedLogin)
		return sshconn.Conn{}, auth.Identity{}, err
	}
	c.stranger.Heard()
	config := c.serverConfig(ctx)
	if err := c.addHostKeys(config, hello); err != nil {
		return sshconn.Conn{}, auth.Identity{}, err
	}
	config.Ciphers = ciphersFor(hello, config.Ciphers)
	c.ssh.turn = func() (func(), error) { return c.stranger.Turn(ctx, "") }
	defer c.ssh.giveBack()
	conn, channels, requests, err := ssh.NewServerConn(c.ssh, config)
	if err != nil {
		c.failed("", strangers.FailedLogin)
		return sshconn.Conn{}, auth.Identity{}, err
	}
	c.ssh.loggedIn.Store(true)
	c.wire.SetDeadline(time.Time{})
	who, ok := conn.Permissions.ExtraData[identityKey{}].(auth.Identity)
	if !ok {
		conn.Close()
		return sshconn.Conn{}, auth.Identity{}, errors.New("logged in without an identity")
	}
	return c.hostKeys.announce(sshconn.Conn{Conn: conn, Channels: channels, Requests: requests}), who, nil
}

// moreTime extends the time of the login to loginGrace and more, for a person who has
// to approve it in a browser.
func (c *conn) moreTime(more time.Duration) {
	end := c.began.Add(loginGrace + more)
	if c.grace.Reset(time.Until(end)) {
		c.wire.SetDeadline(end)
	}
}

// firstSteps returns the methods by which a login may begin, which are the same for
// everybody.
func (c *conn) firstSteps() []auth.Method {
	c.methods = c.server.Keeper.LoginMethods()
	steps := []auth.Method{auth.ByPublicKey}
	if c.methods.Password {
		steps = append(steps, auth.ByPassword)
	}
	if c.methods.Approval {
		steps = append(steps, auth.ByApproval)
	}
	return steps
}

func (c *conn) serverConfig(ctx context.Context) *ssh.ServerConfig {
	first := c.steps(ctx, nil, c.firstSteps()...)
	return &ssh.ServerConfig{
		Config:        algorithms(),
		ServerVersion: version,
		MaxAuthTries:  maxAuthTries,
		PublicKeyAuthAlgorithms: []string{
			ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
			ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
			ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
		},
		PublicKeyCallback:           first.PublicKeyCallback,
		VerifiedPublicKeyCallback:   c.keyProved(ctx),
		PasswordCallback:            first.PasswordCallback,
		KeyboardInteractiveCallback: first.KeyboardInteractiveCallback,
		AuthLogCallback:             c.logAttempt,
		PreAuthConnCallback: func(preAuth ssh.ServerPreAuthConn) {
			c.stranger.Exchanged()
			c.exchange.Store(int64(time.Since(c.began)))
			c.preAuth.Store(&preAuth)
		},
	}
}

// algorithms returns the algorithms for clients. They leave out what is broken or
// slow, such as the Diffie-Hellman groups, where 1 ms of a client's time cost 80 ms
// of the gateway's.
//
// chacha20-poly1305 is left out if the processor has AES instructions: OpenSSH's
// order begins with it, the client's order decides, and Go has no assembly for it on
// amd64. ciphersFor offers it to clients that have nothing else. The MACs without
// -etm are for libssh2 before 1.11.
func algorithms() ssh.Config {
	config := ssh.Config{
		KeyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
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

// algorithmsForHosts returns the algorithms for hosts' sshds. These may be old, and
// here the gateway is the client.
func algorithmsForHosts() ssh.Config {
	config := algorithms()
	config.KeyExchanges = append(config.KeyExchanges, ssh.KeyExchangeDH14SHA256, ssh.KeyExchangeDH16SHA512)
	if hasAES() {
		config.Ciphers = append(config.Ciphers, ssh.CipherChaCha20Poly1305) // last, for an sshd that has nothing else
	}
	return config
}
