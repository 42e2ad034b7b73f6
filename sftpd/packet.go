package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
)

// packet is one of the protocol's. What stands where a request's id does is
// the version in the first packet of either side.
type packet struct {
	kind byte
	id   uint32
	body []byte
}

const packetHead = 4 + 1 + 4 // its length, kind and id

func (p packet) bytes() []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, packetHead+len(p.body)), uint32(1+4+len(p.body)))
	out = append(out, p.kind)
	out = binary.BigEndian.AppendUint32(out, p.id)
	return append(out, p.body...)
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

// parsePacket reads the first packet of data, of which it takes size bytes; 0
// where it is not whole yet.
func parsePacket(data []byte) (p packet, size int) {
	if len(data) < packetHead {
		return p, 0
	}
	size = 4 + int(binary.BigEndian.Uint32(data))
	if len(data) < size {
		return p, 0
	}
	return packet{kind: data[4], id: binary.BigEndian.Uint32(data[5:]), body: data[packetHead:size:size]}, size
}
