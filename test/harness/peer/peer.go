// Package peer is an SSH client that can send anything.
package peer

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"

	"golang.org/x/crypto/ssh"
)

// The messages of the attacks (RFC 4250, 4.1.2).
const (
	MsgServiceRequest   = 5
	MsgServiceAccept    = 6
	MsgKexInit          = 20
	MsgNewKeys          = 21
	msgKexECDHInit      = 30
	MsgKexECDHReply     = 31
	MsgUserAuthRequest  = 50
	MsgUserAuthFailure  = 51
	MsgUserAuthSuccess  = 52
	MsgGlobalRequest    = 80
	MsgChannelOpen      = 90
	MsgChannelConfirm   = 91
	MsgChannelData      = 94
	MsgChannelExtended  = 95
	MsgChannelClose     = 97
	MsgChannelRequest   = 98
	UnknownChannel      = 999
	clientVersion       = "SSH-2.0-peer"
	gcmTagBytes         = 16
	smallestPaddingSize = 4
)

// Peer is a client that can send anything. It speaks curve25519-sha256 and
// aes128-gcm@openssh.com, and does not check the host key. Messages wait until Flush,
// so that a flood arrives at once.
type Peer struct {
	Conn  net.Conn
	in    *bufio.Reader
	queue []byte
	read  *direction // nil before the key exchange
	write *direction
}

// direction encrypts one direction by RFC 5647, with its counter of nonces.
type direction struct {
	aead  cipher.AEAD
	nonce []byte
}

// Dial connects and exchanges keys.
func Dial(address string) (*Peer, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return Meet(conn)
}

// Meet exchanges keys on a connection. It closes the connection if that fails.
func Meet(conn net.Conn) (*Peer, error) {
	p := &Peer{Conn: conn, in: bufio.NewReader(conn)}
	if err := p.exchangeKeys(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("key exchange: %w", err)
	}
	return p, nil
}

// Send queues a message: its number, then strings, booleans and numbers in the form
// of RFC 4251, and byte slices as they are.
func (p *Peer) Send(number byte, fields ...any) {
	payload := []byte{number}
	for _, field := range fields {
		payload = appendField(payload, field)
	}
	p.queue = append(p.queue, p.pack(payload)...)
}

func appendField(to []byte, field any) []byte {
	switch f := field.(type) {
	case string:
		return append(binary.BigEndian.AppendUint32(to, uint32(len(f))), f...)
	case bool:
		if f {
			return append(to, 1)
		}
		return append(to, 0)
	case int:
		return binary.BigEndian.AppendUint32(to, uint32(f))
	case []byte:
		return append(to, f...)
	}
	panic(fmt.Sprintf("%T", field))
}

// Queued returns how many bytes wait for Flush.
func (p *Peer) Queued() int { return len(p.queue) }

// Flush writes what was queued.
func (p *Peer) Flush() error {
	_, err := p.Conn.Write(p.queue)
	p.queue = p.queue[:0]
	return err
}

// pack makes a packet (RFC 4253, 6).
func (p *Peer) pack(payload []byte) []byte {
	block, counted := 8, 4 // whether the length counts for the padding
	if p.write != nil {
		block, counted = aes.BlockSize, 0
	}
	padding := block - (counted+1+len(payload))%block
	if padding < smallestPaddingSize {
		padding += block
	}
	length := 1 + len(payload) + padding
	packet := binary.BigEndian.AppendUint32(make([]byte, 0, 4+length+gcmTagBytes), uint32(length))
	packet = append(packet, byte(padding))
	packet = append(packet, payload...)
	packet = append(packet, make([]byte, padding)...)
	if p.write == nil {
		return packet
	}
	return p.write.aead.Seal(packet[:4], p.write.next(), packet[4:], packet[:4])
}

// Receive returns the next message.
func (p *Peer) Receive() ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(p.in, head); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(head))
	if p.read != nil {
		length += gcmTagBytes
	}
	packet := make([]byte, length)
	if _, err := io.ReadFull(p.in, packet); err != nil {
		return nil, err
	}
	if p.read != nil {
		var err error
		if packet, err = p.read.aead.Open(packet[:0], p.read.next(), packet, head); err != nil {
			return nil, err
		}
	}
	return packet[1 : len(packet)-int(packet[0])], nil
}

// Expect receives one message, and fails if it has another number.
func (p *Peer) Expect(number byte) ([]byte, error) {
	message, err := p.Receive()
	if err == nil && message[0] != number {
		err = fmt.Errorf("message %d, not %d", message[0], number)
	}
	return message, err
}

// next returns the nonce of the next packet.
func (d *direction) next() []byte {
	nonce := append([]byte(nil), d.nonce...)
	counter := d.nonce[4:]
	binary.BigEndian.PutUint64(counter, binary.BigEndian.Uint64(counter)+1)
	return nonce
}

// exchangeKeys does RFC 4253, 4 to 8, and RFC 8731.
func (p *Peer) exchangeKeys() error {
	serverVersion, err := p.exchangeVersions()
	if err != nil {
		return err
	}
	ours := kexInit("curve25519-sha256")
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	p.queue = append(p.queue, p.pack(ours)...)
	p.Send(msgKexECDHInit, string(key.PublicKey().Bytes()))
	if err := p.Flush(); err != nil {
		return err
	}
	theirs, err := p.Expect(MsgKexInit)
	if err != nil {
		return err
	}
	reply, err := p.Expect(MsgKexECDHReply)
	if err != nil {
		return err
	}
	var kex struct {
		HostKey, Key, Signature string `sshtype:"31"`
	}
	if err := ssh.Unmarshal(reply, &kex); err != nil {
		return err
	}
	secret, err := agree(key, kex.Key)
	if err != nil {
		return err
	}
	hash := sha256.New()
	for _, s := range []string{clientVersion, serverVersion, string(ours), string(theirs), kex.HostKey, string(key.PublicKey().Bytes()), kex.Key} {
		hash.Write(appendField(nil, s))
	}
	hash.Write(secret)
	return p.takeKeys(secret, hash.Sum(nil))
}

// StartExchange queues the first message of another key exchange.
func (p *Peer) StartExchange() error {
	public, err := readyMadeKey("curve25519-sha256")
	if err != nil {
		return err
	}
	p.queue = append(p.queue, p.pack(kexInit("curve25519-sha256"))...)
	p.Send(msgKexECDHInit, public)
	return nil
}

// kexInit is a client's proposal (RFC 4253, 7.1).
func kexInit(kex string) []byte {
	message := append([]byte{MsgKexInit}, make([]byte, 16)...) // the cookie
	for _, names := range []string{
		kex, "ssh-ed25519", "aes128-gcm@openssh.com", "aes128-gcm@openssh.com",
		"hmac-sha2-256", "hmac-sha2-256", "none", "none", "", "",
	} {
		message = appendField(message, names)
	}
	return append(message, 0, 0, 0, 0, 0)
}

func (p *Peer) exchangeVersions() (string, error) {
	if _, err := io.WriteString(p.Conn, clientVersion+"\r\n"); err != nil {
		return "", err
	}
	line, err := p.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	return line[:len(line)-len("\r\n")], nil
}

// agree returns the shared secret as an mpint.
func agree(ours *ecdh.PrivateKey, theirs string) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey([]byte(theirs))
	if err != nil {
		return nil, err
	}
	secret, err := ours.ECDH(public)
	if err != nil {
		return nil, err
	}
	return ssh.Marshal(struct{ Secret *big.Int }{new(big.Int).SetBytes(secret)}), nil
}

// takeKeys does RFC 4253, 7.2 and 7.3.
func (p *Peer) takeKeys(secret, hash []byte) error {
	derive := func(letter byte, size int) []byte {
		sum := sha256.New()
		sum.Write(secret)
		sum.Write(hash)
		sum.Write([]byte{letter})
		sum.Write(hash) // the session
		return sum.Sum(nil)[:size]
	}
	if _, err := p.Expect(MsgNewKeys); err != nil {
		return err
	}
	p.Send(MsgNewKeys)
	for _, d := range []struct {
		to         **direction
		nonce, key byte
	}{{&p.write, 'A', 'C'}, {&p.read, 'B', 'D'}} {
		block, err := aes.NewCipher(derive(d.key, 16))
		if err != nil {
			return err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return err
		}
		*d.to = &direction{aead, derive(d.nonce, 12)}
	}
	return nil
}

// Login asks for the service and logs in.
func (p *Peer) Login(user, password string) error {
	p.Send(MsgServiceRequest, "ssh-userauth")
	p.Try(user, password)
	if err := p.Flush(); err != nil {
		return err
	}
	if _, err := p.Expect(MsgServiceAccept); err != nil {
		return err
	}
	_, err := p.Expect(MsgUserAuthSuccess)
	return err
}

// Try queues an attempt to log in.
func (p *Peer) Try(user, password string) {
	p.Send(MsgUserAuthRequest, user, "ssh-connection", "password", false, password)
}

// OpenSession returns the server's number of a new channel, and its window.
func (p *Peer) OpenSession() (channel, window int, err error) {
	p.Send(MsgChannelOpen, "session", 0, 1<<20, 1<<15)
	if err := p.Flush(); err != nil {
		return 0, 0, err
	}
	message, err := p.Expect(MsgChannelConfirm)
	if err != nil {
		return 0, 0, err
	}
	var confirm struct {
		Peer, Channel, Window, Packet uint32 `sshtype:"91"`
	}
	err = ssh.Unmarshal(message, &confirm)
	return int(confirm.Channel), int(confirm.Window), err
}

// Outlast waits until the server has closed the connection.
func (p *Peer) Outlast() {
	io.Copy(io.Discard, p.Conn)
	p.Conn.Close()
}
