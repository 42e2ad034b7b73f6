package session

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// MaxSessions is how many session channels one connection may have open. It
// corresponds to sshd's limit; sshconn.MaxChannels limits all channels together.
const MaxSessions = 250

// Options are what Serve needs beside a connection and a machine.
type Options struct {
	Env   []string      // set for every process, such as SSH_CONNECTION
	Ready func()        // waits until the connection can take more data; may be nil
	Lost  func() string // the text for sessions when the machine is gone or ctx has ended; may be nil
	Log   *slog.Logger

	// Forced says that the client's command was replaced by a forced one. Then
	// SSH_ORIGINAL_COMMAND is accepted: it comes from the code that replaced the
	// command.
	Forced bool

	// UserRC makes each shell and command run the account's ~/.ssh/rc first.
	UserRC bool

	// Notice returns lines, without line ends, that are shown before anything else in
	// the first session with a terminal. It may take a few seconds. It may be nil.
	Notice func() []string

	// Panicked is called after a panic in one of Serve's goroutines, and must end the
	// connection.
	Panicked func(value any, stack []byte)

	// Running counts Serve's goroutines; may be nil.
	Running *atomic.Int64
}

// Serve answers a connection's channels and requests with a machine. It returns when
// the connection has ended and all of its goroutines have; it does not close the
// machine. When the machine is gone, sessions get the output that was already there
// and the text of Options.Lost, and the connection is closed. When ctx ends, Serve
// releases the processes, tells the sessions why, and closes the connection.
func Serve(ctx context.Context, conn sshconn.Conn, machine machine.Machine, options Options) {
	s := &server{
		conn:    conn,
		machine: machine,
		options: options,
		tasks:   &sshconn.Tasks{Panicked: options.Panicked, Running: options.Running},
		ctx:     ctx,
	}
	s.closed = conn.Over(s.tasks)
	s.forwards = newForwards(s)
	order := sshconn.NewOrder(conn)
	order.Upon(machine.Done(), func() { s.tasks.Go(s.closeWhenDelivered) })
	defer s.onEnd(s.closeWhenTold)()
	order.Serve(func(arrived sshconn.Arrival) {
		if arrived.Request != nil {
			s.answer(arrived.Request)
		} else {
			s.start(arrived.Channel)
		}
	})
	s.conn.Close()
	<-s.closed
	s.forwards.closeAll()
	s.agent.close()
	s.tasks.Wait()
}

// server serves one connection.
type server struct {
	conn     sshconn.Conn
	machine  machine.Machine
	options  Options
	tasks    *sshconn.Tasks
	forwards *forwards
	agent    agent
	ctx      context.Context // ends when the connection is to end
	closed   <-chan struct{} // closed when it has ended

	serving  sshconn.Count // channels that are served
	running  sshconn.Count // sessions whose command runs
	channels atomic.Int32
	sessions atomic.Int32
	noticed  sync.Once
}

// closeWhenDelivered closes the connection when all channels have been served to
// their end.
func (s *server) closeWhenDelivered() {
	s.serving.Wait()
	s.conn.Close()
}

// closeWhenTold closes the connection when its sessions have been told why it ends.
func (s *server) closeWhenTold() {
	s.running.Wait()
	s.conn.Close()
}

// onEnd makes f be called, in a goroutine of its own, when the connection is to end.
// After stop has returned, f has either returned or will never be called.
func (s *server) onEnd(f func()) (stop func()) {
	called := make(chan struct{})
	forget := context.AfterFunc(s.ctx, func() {
		defer close(called)
		defer s.tasks.Recover()
		f()
	})
	return func() {
		if !forget() {
			<-called
		}
	}
}

// start serves a channel in a goroutine of its own.
func (s *server) start(channel sshconn.NewChannel) {
	s.serving.Add(1)
	s.tasks.Go(func() {
		defer s.serving.Add(-1)
		s.open(channel)
	})
}

// open answers CHANNEL_OPEN (RFC 4254 §5.1) and serves the channel to its end.
func (s *server) open(channel sshconn.NewChannel) {
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

func (s *server) openSession(channel sshconn.NewChannel) {
	defer s.sessions.Add(-1)
	if s.sessions.Add(1) > MaxSessions {
		channel.Reject(ssh.ResourceShortage, fmt.Sprintf("more than %d sessions", MaxSessions))
		return
	}
	if ch, requests, err := channel.Accept(); err == nil {
		newSession(s, ch).serve(requests)
	}
}

// answer carries out a global request (RFC 4254 §4) and then answers it, before the
// next thing that the client sent is looked at.
func (s *server) answer(request *ssh.Request) {
	switch request.Type {
	case "tcpip-forward":
		s.forwards.tcpip(request)
	case "cancel-tcpip-forward":
		s.forwards.cancelTCPIP(request)
	case "streamlocal-forward@openssh.com":
		s.forwards.streamlocal(request)
	case "cancel-streamlocal-forward@openssh.com":
		s.forwards.cancelStreamlocal(request)
	default: // also for keepalive@openssh.com, as sshd does
		sshconn.Reply(request, false, nil)
	}
}
