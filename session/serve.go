package session

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"berth/machine"
	"berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// MaxSessions is how many sessions one connection may have open. sshd counts
// those only; sshconn.MaxChannels bounds all channels together.
const MaxSessions = 250

// Options are what Serve needs besides a connection and a machine.
type Options struct {
	Env   []string      // set for every process: SSH_CONNECTION and the like
	Ready func()        // waits until the connection can take more data; may be nil
	Lost  func() string // what to tell a session when the machine is gone, or ctx has ended; may be nil
	Log   *slog.Logger

	// Forced says that a command was put in the place of the client's own, and
	// that SSH_ORIGINAL_COMMAND, which tells the latter, comes from who did that.
	Forced bool

	// Panicked is told of a panic in a goroutine of Serve's, and must end the
	// connection.
	Panicked func(value any, stack []byte)
}

// Serve answers a connection's channels and requests with a machine. It
// returns when the connection has ended and nothing of it is left here; the
// machine stays open. When the machine is gone, sessions are told so, get what
// was already there, and the connection is closed. When ctx ends, the processes
// are let go of, sessions are told why, and the connection is closed.
func Serve(ctx context.Context, conn sshconn.Conn, machine machine.Machine, options Options) {
	s := &server{
		conn:    conn,
		machine: machine,
		options: options,
		tasks:   &sshconn.Tasks{Panicked: options.Panicked},
		ended:   ctx.Done(),
	}
	s.forwards = newForwards(s)
	s.tasks.Go(s.globalRequests)
	closed := make(chan struct{})
	s.tasks.Go(func() { s.closeAfterEnd(closed) })
	for channel := range conn.Channels {
		s.serving.Add(1)
		s.tasks.Go(func() {
			defer s.serving.Add(-1)
			s.open(channel)
		})
	}
	close(closed)
	s.forwards.closeAll()
	s.agent.close()
	s.tasks.Wait()
}

// server is one connection being served.
type server struct {
	conn     sshconn.Conn
	machine  machine.Machine
	options  Options
	tasks    *sshconn.Tasks
	forwards *forwards
	agent    agent
	ended    <-chan struct{} // closed when the connection is to end

	serving  sshconn.Count // channels
	running  sshconn.Count // sessions with a command
	channels atomic.Int32
	sessions atomic.Int32
}

// closeAfterEnd closes the connection when the machine is gone and all that was
// there is delivered, or when the connection is to end and its sessions were
// told. It returns when the connection is closed.
func (s *server) closeAfterEnd(closed <-chan struct{}) {
	select {
	case <-s.machine.Done():
		s.serving.Wait()
	case <-s.ended:
		s.running.Wait()
	case <-closed:
	}
	s.conn.Close()
}

// open answers CHANNEL_OPEN (RFC 4254 §5.1) and serves the channel to its end.
func (s *server) open(channel ssh.NewChannel) {
	defer s.channels.Add(-1)
	if s.channels.Add(1) > sshconn.MaxChannels {
		channel.Reject(ssh.ResourceShortage, fmt.Sprintf("more than %d channels", sshconn.MaxChannels))
		return
	}
	switch channel.ChannelType() {
	case "session":
		s.openSession(channel)
	case "direct-tcpip":
		s.directTCPIP(channel)
	case "direct-streamlocal@openssh.com":
		s.directStreamlocal(channel)
	default:
		channel.Reject(ssh.UnknownChannelType, "unsupported channel type")
	}
}

func (s *server) openSession(channel ssh.NewChannel) {
	defer s.sessions.Add(-1)
	if s.sessions.Add(1) > MaxSessions {
		channel.Reject(ssh.ResourceShortage, fmt.Sprintf("more than %d sessions", MaxSessions))
		return
	}
	if ch, requests, err := channel.Accept(); err == nil {
		newSession(s, ch).serve(requests)
	}
}

// globalRequests answers requests one by one, since their replies carry
// nothing but their order (RFC 4254 §4).
func (s *server) globalRequests() {
	for request := range s.conn.Requests {
		switch request.Type {
		case "tcpip-forward":
			s.forwards.tcpip(request)
		case "cancel-tcpip-forward":
			s.forwards.cancelTCPIP(request)
		case "streamlocal-forward@openssh.com":
			s.forwards.streamlocal(request)
		case "cancel-streamlocal-forward@openssh.com":
			s.forwards.cancelStreamlocal(request)
		default: // keepalive@openssh.com too: sshd answers it so
			// No-more-sessions@openssh.com is not heeded: x/crypto does not tell
			// whether a session was asked for before it.
			sshconn.Reply(request, false, nil)
		}
	}
}
