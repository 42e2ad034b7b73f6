package patches_test

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

// The messages that the attacks are made of (RFC 4250, 4.1.2).
const (
	msgServiceRequest   = 5
	msgServiceAccept    = 6
	msgKexInit          = 20
	msgNewKeys          = 21
	msgUserAuthRequest  = 50
	msgUserAuthFailure  = 51
	msgUserAuthSuccess  = 52
	msgGlobalRequest    = 80
	msgChannelOpen      = 90
	msgChannelConfirm   = 91
	msgChannelData      = 94
	msgChannelExtended  = 95
	msgChannelRequest   = 98
	unknownChannel      = 999
	clientVersion       = "SSH-2.0-peer"
	gcmTagBytes         = 16
	smallestPaddingSize = 4
)

// peer is a client that sends what it likes. It speaks curve25519-sha256 and
// aes128-gcm@openssh.com, and does not look at the host key. What is sent waits
// until flush, so that a flood arrives as one.
type peer struct {
	conn  net.Conn
	in    *bufio.Reader
	queue []byte
	read  *direction // nil before the key exchange
	write *direction
}

// direction is RFC 5647, with the nonce's counter.
type direction struct {
	aead  cipher.AEAD
	nonce []byte
}

// dial connects and exchanges keys.
func dial(address string) (*peer, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &peer{conn: conn, in: bufio.NewReader(conn)}
	if err := p.exchangeKeys(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("key exchange: %w", err)
	}
	return p, nil
}

// send queues a message: its number, then strings, booleans and numbers as
// RFC 4251 writes them, byte slices as they are.
func (p *peer) send(number byte, fields ...any) {
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

func (p *peer) flush() error {
	_, err := p.conn.Write(p.queue)
	p.queue = p.queue[:0]
	return err
}

// pack makes a packet (RFC 4253, 6).
func (p *peer) pack(payload []byte) []byte {
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

// receive returns the next message.
func (p *peer) receive() ([]byte, error) {
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

// expect receives one message, which must have this number.
func (p *peer) expect(number byte) ([]byte, error) {
	message, err := p.receive()
	if err == nil && message[0] != number {
		err = fmt.Errorf("message %d, not %d", message[0], number)
	}
	return message, err
}

// next is the nonce of the next packet.
func (d *direction) next() []byte {
	nonce := append([]byte(nil), d.nonce...)
	counter := d.nonce[4:]
	binary.BigEndian.PutUint64(counter, binary.BigEndian.Uint64(counter)+1)
	return nonce
}

// exchangeKeys is RFC 4253, 4 to 8, and RFC 8731.
func (p *peer) exchangeKeys() error {
	serverVersion, err := p.exchangeVersions()
	if err != nil {
		return err
	}
	ours := append([]byte{msgKexInit}, make([]byte, 16)...) // the cookie
	for _, names := range []string{
		"curve25519-sha256", "ssh-ed25519", "aes128-gcm@openssh.com", "aes128-gcm@openssh.com",
		"hmac-sha2-256", "hmac-sha2-256", "none", "none", "", "",
	} {
		ours = appendField(ours, names)
	}
	ours = append(ours, 0, 0, 0, 0, 0)
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	p.queue = append(p.queue, p.pack(ours)...)
	p.send(30, string(key.PublicKey().Bytes())) // SSH_MSG_KEX_ECDH_INIT
	if err := p.flush(); err != nil {
		return err
	}
	theirs, err := p.expect(msgKexInit)
	if err != nil {
		return err
	}
	reply, err := p.expect(31) // SSH_MSG_KEX_ECDH_REPLY
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

func (p *peer) exchangeVersions() (string, error) {
	if _, err := io.WriteString(p.conn, clientVersion+"\r\n"); err != nil {
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

// takeKeys is RFC 4253, 7.2 and 7.3.
func (p *peer) takeKeys(secret, hash []byte) error {
	derive := func(letter byte, size int) []byte {
		sum := sha256.New()
		sum.Write(secret)
		sum.Write(hash)
		sum.Write([]byte{letter})
		sum.Write(hash) // the session
		return sum.Sum(nil)[:size]
	}
	if _, err := p.expect(msgNewKeys); err != nil {
		return err
	}
	p.send(msgNewKeys)
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

// login asks for the service and logs in.
func (p *peer) login() error {
	p.send(msgServiceRequest, "ssh-userauth")
	p.try(password)
	if err := p.flush(); err != nil {
		return err
	}
	if _, err := p.expect(msgServiceAccept); err != nil {
		return err
	}
	_, err := p.expect(msgUserAuthSuccess)
	return err
}

// try queues an attempt to log in.
func (p *peer) try(password string) {
	p.send(msgUserAuthRequest, "alice", "ssh-connection", "password", false, password)
}

// openSession returns the server's number of a new channel, and its window.
func (p *peer) openSession() (channel, window int, err error) {
	p.send(msgChannelOpen, "session", 0, 1<<20, 1<<15)
	if err := p.flush(); err != nil {
		return 0, 0, err
	}
	message, err := p.expect(msgChannelConfirm)
	if err != nil {
		return 0, 0, err
	}
	var confirm struct {
		Peer, Channel, Window, Packet uint32 `sshtype:"91"`
	}
	err = ssh.Unmarshal(message, &confirm)
	return int(confirm.Channel), int(confirm.Window), err
}

// outlast waits until the server has closed the connection.
func (p *peer) outlast() {
	io.Copy(io.Discard, p.conn)
	p.conn.Close()
}
