package gateway

import (
	"encoding/binary"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// Reasons of a disconnect (RFC 4253 §11.1).
const (
	byApplication      = 11
	tooManyConnections = 12
)

const (
	// maxTurnedAway is how many clients may wait at the same time to read why they
	// are turned away. Further ones may lose the message.
	maxTurnedAway = 64

	// turnAwayPatience is how long each of them may take to read it.
	turnAwayPatience = time.Second
)

// turnAway tells a client that has just connected why it is not served, with a
// disconnect message, which every client shows, and hangs up. It waits until the
// client has read it, unless maxTurnedAway are waited for already.
func (s *Server) turnAway(raw net.Conn, reason uint32, why string) {
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(turnAwayPatience))
	if _, err := raw.Write(append([]byte(version+"\r\n"), disconnect(reason, "berth: "+why)...)); err != nil {
		return
	}
	half, ok := raw.(interface{ CloseWrite() error })
	if s.turnedAway.Add(1) > maxTurnedAway || !ok {
		s.turnedAway.Add(-1)
		return
	}
	defer s.turnedAway.Add(-1)
	half.CloseWrite()
	io.CopyN(io.Discard, raw, 1<<16) // closing with unread bytes would reset the connection and discard the message
}

// disconnect returns an SSH_MSG_DISCONNECT as an unencrypted packet (RFC 4253 §6).
func disconnect(reason uint32, why string) []byte {
	const block, minPadding, head = 8, 4, 5
	payload := ssh.Marshal(struct {
		Reason   uint32 `sshtype:"1"`
		Why      string
		Language string
	}{reason, why, ""})
	padding := block - (head+len(payload))%block
	if padding < minPadding {
		padding += block
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(packet, byte(padding))
	packet = append(packet, payload...)
	return append(packet, make([]byte, padding)...)
}
