package sftpd

import (
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"
)

// Bounds that OpenSSH's sftp-server has, too.
const (
	maxPacket = 256 << 10
	maxData   = maxPacket - 1<<10 // of a read or a write
)

// Types of packets.
const (
	typeInit     = 1
	typeVersion  = 2
	typeOpen     = 3
	typeClose    = 4
	typeRead     = 5
	typeWrite    = 6
	typeLstat    = 7
	typeFstat    = 8
	typeSetstat  = 9
	typeFsetstat = 10
	typeOpendir  = 11
	typeReaddir  = 12
	typeRemove   = 13
	typeMkdir    = 14
	typeRmdir    = 15
	typeRealpath = 16
	typeStat     = 17
	typeRename   = 18
	typeReadlink = 19
	typeSymlink  = 20

	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttrs         = 105
	typeExtended      = 200
	typeExtendedReply = 201
)

// packet is one of the protocol's. What stands where a request's id does is
// the version in the first packet of either side.
type packet struct {
	kind byte
	id   uint32
	body []byte
}

const packetHead = 4 + 1 + 4 // its length, kind and id

func (p packet) writeTo(out io.Writer) error {
	head := binary.BigEndian.AppendUint32(make([]byte, 0, packetHead), uint32(1+4+len(p.body)))
	head = binary.BigEndian.AppendUint32(append(head, p.kind), p.id)
	if _, err := out.Write(head); err != nil {
		return err
	}
	_, err := out.Write(p.body)
	return err
}

// readPacket reads one. The error is io.EOF only where one could begin.
func readPacket(from io.Reader) (packet, error) {
	var head [packetHead]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return packet{}, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < 1+4 || length > maxPacket {
		return packet{}, errors.New("sftp: a packet that is too short or too long")
	}
	p := packet{kind: head[4], id: binary.BigEndian.Uint32(head[5:]), body: make([]byte, length-1-4)}
	_, err := io.ReadFull(from, p.body)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return p, err
}

// errMalformed is about a request whose fields cannot be read.
var errMalformed = errors.New("malformed request")

// read reads the fields of a request.
func read(body []byte, fields any) error {
	if ssh.Unmarshal(body, fields) != nil {
		return errMalformed
	}
	return nil
}

// numbers is a body of nothing but numbers of 64 bits.
func numbers(all ...uint64) (body []byte) {
	for _, number := range all {
		body = binary.BigEndian.AppendUint64(body, number)
	}
	return body
}

// name is the answer that is one path.
func name(path string) packet {
	return packet{kind: typeName, body: ssh.Marshal(struct {
		Count      uint32
		Path, Long string
		Attributes uint32
	}{1, path, path, 0})}
}
