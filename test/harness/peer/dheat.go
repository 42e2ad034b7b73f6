package peer

import (
	"bufio"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"fmt"
	"net"
)

// ReadyMade returns all messages that a client sends for a key exchange, made once. A
// client that sends them again computes nothing, and the server computes everything
// (D(HE)at, CVE-2002-20001).
func ReadyMade(kex string) ([]byte, error) {
	public, err := readyMadeKey(kex)
	if err != nil {
		return nil, err
	}
	p := &Peer{queue: []byte(clientVersion + "\r\n")}
	p.queue = append(p.queue, p.pack(kexInit(kex))...)
	p.Send(msgKexECDHInit, public)
	return p.queue, nil
}

// readyMadeKey returns a client's public key in the form of its first message.
func readyMadeKey(kex string) (string, error) {
	curve := map[string]ecdh.Curve{
		"mlkem768x25519-sha256": ecdh.X25519(), "curve25519-sha256": ecdh.X25519(),
		"ecdh-sha2-nistp256": ecdh.P256(), "ecdh-sha2-nistp384": ecdh.P384(), "ecdh-sha2-nistp521": ecdh.P521(),
	}[kex]
	if curve == nil {
		return "", fmt.Errorf("no ready-made messages for %s", kex)
	}
	key, err := curve.GenerateKey(rand.Reader)
	if err != nil || kex != "mlkem768x25519-sha256" {
		return string(key.PublicKey().Bytes()), err
	}
	encapsulation, err := mlkem.GenerateKey768()
	if err != nil {
		return "", err
	}
	return string(encapsulation.EncapsulationKey().Bytes()) + string(key.PublicKey().Bytes()), nil
}

// SendReadyMade sends the messages on a new connection, and returns when the server
// has computed its answer.
func SendReadyMade(conn net.Conn, messages []byte) error {
	if _, err := conn.Write(messages); err != nil {
		return err
	}
	p := &Peer{Conn: conn, in: bufio.NewReader(conn)}
	if _, err := p.in.ReadString('\n'); err != nil {
		return err
	}
	for _, number := range []byte{MsgKexInit, MsgKexECDHReply} {
		if _, err := p.Expect(number); err != nil {
			return err
		}
	}
	return nil
}
