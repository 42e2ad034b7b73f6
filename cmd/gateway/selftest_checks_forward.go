package main

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
)

func forwardChecks() []check {
	return []check{
		{name: "-L and -R with port 0", timeout: 30 * time.Second, run: checkTCP},
		{name: "unix sockets both ways", timeout: 30 * time.Second, run: checkUnix},
		{name: "agent, 8 users at once", timeout: 60 * time.Second, run: checkAgent},
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
	port, err := v.listenTCP()
	if err != nil {
		return "", err
	}
	address := fmt.Sprintf("%s:%d", loopback, port)
	err = echoAtOnce(func() (net.Conn, error) { return v.client.Dial("tcp", address) })
	if err != nil {
		return "", prohibited(err, tcpHint)
	}
	ok, _, err := v.client.SendRequest("cancel-tcpip-forward", true, ssh.Marshal(forwardRequest{loopback, port}))
	if err != nil || !ok {
		return "", errors.Join(failed("the listener to be closed", "a refusal", ""), err)
	}
	refused := (*ssh.OpenChannelError)(nil)
	if _, err := v.client.Dial("tcp", address); !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed {
		return "", failed("a closed port to refuse", err, "")
	}
	return "", nil
}

// prohibited adds what to do about a channel that an sshd does not let open.
func prohibited(err error, hint string) error {
	refused := (*ssh.OpenChannelError)(nil)
	if errors.As(err, &refused) && refused.Reason == ssh.Prohibited {
		return fmt.Errorf("%w: %s", err, hint)
	}
	return err
}

type forwardRequest struct { // RFC 4254 §7.1
	Address string
	Port    uint32
}

// listenTCP listens on a port of the host's choice, and echoes. x/crypto's own
// Listen is of no use: it asks an OpenSSH that it takes for old for no port 0.
func (v *visit) listenTCP() (port uint32, err error) {
	channels := v.client.HandleChannelOpen("forwarded-tcpip")
	ok, reply, err := v.client.SendRequest("tcpip-forward", true, ssh.Marshal(forwardRequest{loopback, 0}))
	if err != nil {
		return 0, err
	}
	var chosen struct{ Port uint32 }
	if !ok || ssh.Unmarshal(reply, &chosen) != nil || chosen.Port == 0 {
		return 0, failed("a port to listen on in the host", "a refusal", tcpHint)
	}
	go echoChannels(channels, forwardRequest{loopback, chosen.Port})
	return chosen.Port, nil
}

// echoChannels serves a listener in the host; channels that name another one
// are rejected.
func echoChannels(channels <-chan ssh.NewChannel, want forwardRequest) {
	for asked := range channels {
		var open struct {
			Address        string
			Port           uint32
			Originator     string
			OriginatorPort uint32
		}
		if ssh.Unmarshal(asked.ExtraData(), &open) != nil || (forwardRequest{open.Address, open.Port}) != want {
			asked.Reject(ssh.ConnectionFailed, "not the listener that was asked for")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			continue
		}
		go ssh.DiscardRequests(requests)
		go echo(channel)
	}
}

// echo sends back all it gets, and its end.
func echo(conn interface {
	io.ReadWriteCloser
	CloseWrite() error
}) {
	defer conn.Close()
	io.Copy(conn, conn)
	conn.CloseWrite()
}

func checkUnix(_ context.Context, v *visit) (string, error) {
	dir, err := v.directory()
	if err != nil {
		return "", err
	}
	socket := path.Join(dir, "socket")
	listener, err := v.client.ListenUnix(socket)
	if err != nil {
		return "", failed("a unix socket to listen on in the host", "a refusal", unixHint)
	}
	defer listener.Close()
	go echoConns(listener)
	err = echoAtOnce(func() (net.Conn, error) { return v.client.Dial("unix", socket) })
	return "", prohibited(err, unixHint)
}

func echoConns(listener net.Listener) {
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

// wantEcho ends its side before it has all of the other: what a forward that
// closes both at once loses.
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
		return "", failed("the agent to be forwarded", "a refusal", "a foreign sshd needs: AllowAgentForwarding yes")
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
	e, err := v.sh("SSH_AUTH_SOCK="+quote(socket)+"; export SSH_AUTH_SOCK; for i in 1 2 3 4 5; do ssh-add -L || exit; done", nil)
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
