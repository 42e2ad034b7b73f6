package checks

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sync/errgroup"

	"github.com/berth-ssh/berth/screen"
)

func forwardChecks() []Check {
	return []Check{
		{Name: "-L and -R with port 0", timeout: 30 * time.Second, run: checkTCP},
		{Name: "unix sockets both ways", timeout: 30 * time.Second, run: checkUnix},
		{Name: "agent, 8 users at once", timeout: 2 * time.Minute, run: checkAgent},
	}
}

const (
	atOnce    = 8
	echoBytes = 1 << 20
	loopback  = "127.0.0.1"

	tcpHint  = "a foreign sshd needs: AllowTcpForwarding yes"
	unixHint = "a foreign sshd needs: AllowStreamLocalForwarding yes"
)

// checkTCP listens in the host by -R, and reaches that listener by -L: the
// image needs no tool for it.
func checkTCP(_ context.Context, v *visit) (string, error) {
	listener, err := v.listenTCP()
	if err != nil {
		return "", err
	}
	address := listener.Addr().String()
	err = echoAtOnce(func() (net.Conn, error) { return v.client.Dial("tcp", address) })
	if err != nil {
		return "", prohibited(err, tcpHint)
	}
	if err := listener.Close(); err != nil {
		return "", err
	}
	refused := (*ssh.OpenChannelError)(nil)
	if _, err := v.client.Dial("tcp", address); !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed {
		return "", failed("a closed port to refuse", err, "")
	}
	return "", nil
}

// listenTCP listens on a port of the host's choice, and echoes.
func (v *visit) listenTCP() (net.Listener, error) {
	listener, err := v.client.Listen("tcp", loopback+":0")
	if err != nil {
		return nil, failed("a port to listen on in the host", err, tcpHint)
	}
	go echo(listener)
	return listener, nil
}

// prohibited adds the hint if an sshd does not allow the channel.
func prohibited(err error, hint string) error {
	if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok && refused.Reason == ssh.Prohibited {
		return fmt.Errorf("%w: %s", err, hint)
	}
	return err
}

func checkUnix(_ context.Context, v *visit) (string, error) {
	dir, err := v.directory()
	if err != nil {
		return "", err
	}
	socket := path.Join(dir, "socket")
	listener, err := v.client.ListenUnix(socket)
	if err != nil {
		return "", failed("a unix socket to listen on in the host", err, unixHint)
	}
	defer listener.Close()
	go echo(listener)
	err = echoAtOnce(func() (net.Conn, error) { return v.client.Dial("unix", socket) })
	return "", prohibited(err, unixHint)
}

// echo sends back to each connection all it gets, and its end.
func echo(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
			closeWrite(conn)
		}()
	}
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// echoAtOnce sends data through several connections, and wants it back.
func echoAtOnce(dial func() (net.Conn, error)) error {
	data := randomData(echoBytes)
	var all errgroup.Group
	for range atOnce {
		all.Go(func() error {
			conn, err := dial()
			if err != nil {
				return err
			}
			defer conn.Close()
			return wantEcho(conn, data)
		})
	}
	return all.Wait()
}

// wantEcho closes its side before it has read everything. A forward that then
// closes both sides loses data.
func wantEcho(conn net.Conn, data []byte) error {
	go func() {
		conn.Write(data)
		closeWrite(conn)
	}()
	got, err := io.ReadAll(conn)
	if err == nil && !bytes.Equal(got, data) {
		err = failed(fmt.Sprintf("an echo of %d bytes", len(data)), fmt.Sprintf("%d", len(got)), "")
	}
	return err
}

// checkAgent has one session forward an agent, and several programs ask it.
func checkAgent(ctx context.Context, v *visit) (string, error) {
	key, err := v.forwardAgent()
	if err != nil {
		return "", err
	}
	session, err := v.client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	if err := agent.RequestAgentForwarding(session); err != nil {
		return "", failed("the agent to be forwarded", err, "a foreign sshd needs: AllowAgentForwarding yes")
	}
	socket, err := startAndRead(session, `echo "$SSH_AUTH_SOCK"; cat`)
	if err != nil || socket == "" {
		return "", errors.Join(failed("SSH_AUTH_SOCK to be set", "nothing", ""), err)
	}
	ask, note := func() error { return v.askBySocket(socket, key) }, "by a unix socket: the image has no ssh-add"
	if v.has("ssh-add") {
		ask, note = func() error { return v.askByProgram(socket, key) }, ""
	}
	var all errgroup.Group
	for range atOnce {
		all.Go(ask)
	}
	return note, all.Wait()
}

// forwardAgent makes an agent with a new key and serves it to the host.
func (v *visit) forwardAgent() (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		return nil, err
	}
	return key, agent.ForwardToAgent(v.client, keyring)
}

// startAndRead starts a script that goes on after its first line of output.
func startAndRead(session *ssh.Session, script string) (string, error) {
	out, err := session.StdoutPipe()
	if err != nil {
		return "", err
	}
	if _, err := session.StdinPipe(); err != nil {
		return "", err
	}
	if err := session.Start(inShell(script)); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line), err
}

func (v *visit) askByProgram(socket string, key ssh.PublicKey) error {
	e, err := v.sh("SSH_AUTH_SOCK="+screen.Quote(socket)+"; export SSH_AUTH_SOCK; for i in 1 2 3 4 5; do ssh-add -L || exit; done", nil)
	if err != nil {
		return err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	if strings.Count(e.stdout, line) != 5 {
		return failed("the agent's key five times", e, "")
	}
	return nil
}

func (v *visit) askBySocket(socket string, key ssh.PublicKey) error {
	conn, err := v.client.Dial("unix", socket)
	if err != nil {
		return prohibited(err, unixHint)
	}
	defer conn.Close()
	data, remote := []byte(hello), agent.NewClient(conn)
	for range 20 {
		signature, err := remote.Sign(key, data)
		if err != nil {
			return err
		}
		if err := key.Verify(data, signature); err != nil {
			return err
		}
	}
	return nil
}
