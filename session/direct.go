package session

import (
	"fmt"
	"net"
	"strconv"

	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// directTCPIP serves ssh -L, -D, -W and -J (RFC 4254 §7.2). The address is dialled in
// the machine: 127.0.0.1 is the machine itself, never the gateway.
func (s *server) directTCPIP(channel sshconn.NewChannel) {
	var open sshconn.DirectTCPIP
	if ssh.Unmarshal(channel.ExtraData(), &open) != nil {
		channel.Reject(ssh.ConnectionFailed, "malformed direct-tcpip")
		return
	}
	if open.Port > 65535 { // the reason is sshd's
		channel.Reject(ssh.Prohibited, fmt.Sprintf("%d is no port", open.Port))
		return
	}
	s.direct(channel, "tcp", net.JoinHostPort(open.Host, strconv.Itoa(int(open.Port))))
}

// directStreamlocal serves ssh -L port:/path (OpenSSH's PROTOCOL, §2.4).
func (s *server) directStreamlocal(channel sshconn.NewChannel) {
	var open sshconn.DirectStreamlocal
	if ssh.Unmarshal(channel.ExtraData(), &open) != nil || open.Path == "" {
		channel.Reject(ssh.ConnectionFailed, "malformed direct-streamlocal")
		return
	}
	s.direct(channel, "unix", open.Path)
}

func (s *server) direct(channel sshconn.NewChannel, network, address string) {
	conn, err := s.machine.Dial(network, address)
	if err != nil {
		channel.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	ch, requests, err := channel.Accept()
	if err != nil {
		conn.Close()
		return
	}
	s.join(ch, requests, conn)
}

// join serves a channel whose other end is a connection in the machine.
func (s *server) join(ch ssh.Channel, requests sshconn.Requests, conn net.Conn) {
	sshconn.Join(
		sshconn.End{Data: ch, Ready: s.options.Ready, Serve: func() { sshconn.RefuseAll(requests) }},
		sshconn.End{Data: conn},
		s.tasks, s.closed)
}

// openBack asks the client to open a channel for a connection that arrived in the
// machine, and serves both in a goroutine of its own.
func (s *server) openBack(channelType string, extra []byte, conn net.Conn) {
	if s.channels.Add(1) > sshconn.MaxChannels {
		s.channels.Add(-1)
		conn.Close()
		return
	}
	await := s.conn.StartChannel(channelType, extra)
	s.tasks.Go(func() {
		defer s.channels.Add(-1)
		ch, requests, err := await()
		if err != nil {
			conn.Close()
			return
		}
		s.join(ch, requests, conn)
	})
}
