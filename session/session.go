package session

import (
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// session is one session channel (RFC 4254 §6): requests that prepare it, one that
// starts a command, and requests to the running command. The loop that reads the
// requests never waits for the command, so no command delays a window-change or
// another channel.
type session struct {
	server  *server
	channel ssh.Channel
	env     []string
	pty     *machine.Pty
	x11     *x11

	process    *machine.Process // nil until the start
	kind       string           // of the command that was started
	eof        chan struct{}    // closed when the peer has sent EOF
	inputEnded chan struct{}    // closed when the process has all of its input
	gone       chan struct{}    // closed when the peer has closed the channel
	drained    chan struct{}    // closed when all output and the exit have been sent
	forget     func()           // stops the watch for the connection's end (see onEnd)
	copying    sync.WaitGroup
	answering  sync.Mutex // held while a request is answered
}

func newSession(s *server, channel ssh.Channel) *session {
	return &session{server: s, channel: channel, eof: make(chan struct{}), inputEnded: make(chan struct{}), gone: make(chan struct{}), drained: make(chan struct{})}
}

// serve answers requests until the channel is closed, and then releases the process:
// its pty is hung up and its pipes are closed. A process that survives this lives on.
func (s *session) serve(requests sshconn.Requests) {
	for request := range requests {
		started := s.process != nil
		s.reply(request)
		if !started && s.process != nil {
			s.run()
		}
	}
	s.channel.Close()
	if s.process != nil {
		s.deliverInput()
	}
	close(s.gone)
	if s.process != nil {
		s.forget()
		s.process.Close()
	}
	s.x11.close()
	s.copying.Wait()
}

// reply answers a request. Its lock keeps Drain from reporting the end of the process
// before the answer is sent, and is released also after a panic.
func (s *session) reply(request *ssh.Request) {
	s.answering.Lock()
	defer s.answering.Unlock()
	sshconn.Reply(request, s.answer(request), nil)
}

// deliverInput waits until the process has all that the client sent before it closed
// the channel. Unless the client ended its input itself, the process's output is no
// longer read.
func (s *session) deliverInput() {
	if !sshconn.Closed(s.inputEnded) {
		s.stopOutput()
	}
	over := s.over()
	sshconn.Await(s.inputEnded, over)
	if s.process.Deliver != nil {
		s.process.Deliver(over)
	}
}

// over returns a channel that is closed when the process or the connection has ended,
// so that nothing more is to be waited for.
func (s *session) over() <-chan struct{} {
	over := make(chan struct{})
	s.server.tasks.Go(func() {
		defer close(over)
		select {
		case <-s.drained:
		case <-s.server.ctx.Done():
		case <-s.server.closed:
		}
	})
	return over
}

func (s *session) answer(request *ssh.Request) bool {
	switch request.Type {
	case "env":
		return s.addEnv(request.Payload)
	case "pty-req":
		return s.requestPty(request.Payload)
	case "auth-agent-req@openssh.com":
		return s.process == nil && s.server.agent.listen(s.server)
	case "x11-req":
		return s.requestX11(request.Payload)
	case machine.Shell:
		return s.start(machine.Shell, "")
	case machine.Exec:
		var exec sshconn.ExecRequest
		return ssh.Unmarshal(request.Payload, &exec) == nil && s.start(machine.Exec, exec.Command)
	case machine.Subsystem:
		var subsystem sshconn.SubsystemRequest
		return ssh.Unmarshal(request.Payload, &subsystem) == nil && s.start(machine.Subsystem, subsystem.Name)
	case "window-change":
		return s.resize(request.Payload)
	case "signal":
		return s.signal(request.Payload)
	case "break":
		return s.sendBreak()
	case "eow@openssh.com": // the client can write no more of our output
		s.stopOutput()
		return false // as sshd; no client asks
	default:
		return false
	}
}

func (s *session) addEnv(payload []byte) bool {
	env, ok := sshconn.AcceptEnv(payload)
	isOriginal := s.server.options.Forced && env.Name == sshconn.OriginalCommand
	if !ok || s.process != nil || !isOriginal && (!sshconn.IsListedEnv(env.Name) || len(s.env) >= maxEnv) {
		return false
	}
	s.env = append(s.env, env.Name+"="+env.Value)
	return true
}

func (s *session) requestPty(payload []byte) bool {
	var r sshconn.PtyRequest
	if ssh.Unmarshal(payload, &r) != nil || s.process != nil || s.pty != nil || len(r.Modes) > maxModes {
		return false
	}
	s.pty = &machine.Pty{Term: termOf(r.Term), Size: machine.Size{Columns: r.Columns, Rows: r.Rows, Width: r.Width, Height: r.Height}, Modes: r.Modes}
	return true
}

// start starts the command. If the machine cannot, start writes the reason to stderr,
// as sshd's child would; a refused request would tell the person nothing.
func (s *session) start(kind, line string) bool {
	if s.process != nil || strings.ContainsRune(line, 0) {
		return false
	}
	command := machine.Command{Kind: kind, Line: line, Pty: s.pty, UserRC: s.server.options.UserRC, Env: slices.Concat(s.server.options.Env, s.env)}
	if path := s.server.agent.path(); path != "" {
		command.Env = append(command.Env, "SSH_AUTH_SOCK="+path)
	}
	command.Env = append(command.Env, s.x11.env()...)
	var err error
	if s.process, err = s.server.machine.Start(command); err == nil {
		s.kind = kind
		return true
	}
	s.server.options.Log.Warn("command not started", "kind", kind, "err", err)
	if kind == machine.Subsystem {
		return false
	}
	why := s.lost()
	if why == "" {
		why = err.Error() + s.newline()
	}
	io.WriteString(s.channel.Stderr(), why)
	s.process = neverStarted()
	return true
}

// neverStarted returns a process that has ended with status 255, in the place of one
// that could not be started.
func neverStarted() *machine.Process {
	exit := make(chan sshconn.Exit, 1)
	exit <- sshconn.ExitStatus(255)
	return &machine.Process{
		Exit:   exit,
		Signal: func(string) error { return os.ErrProcessDone },
		Close:  func() error { return nil },
	}
}

// lost returns the text for a session whose process ended in an unknown way: why the
// machine is gone or the connection was ended. It is empty if neither happened.
func (s *session) lost() string {
	isOver := sshconn.Closed(s.server.machine.Done()) || sshconn.Closed(s.server.ctx.Done())
	if !isOver || sshconn.Closed(s.gone) || s.server.options.Lost == nil {
		return ""
	}
	return s.server.options.Lost() + s.newline()
}

func (s *session) newline() string {
	if s.pty != nil { // the client has put its terminal into raw mode
		return "\r\n"
	}
	return "\n"
}

// run starts copying between the channel and the process, in both directions.
func (s *session) run() {
	output := sshconn.Output{
		Channel:    s.channel,
		Exit:       s.process.Exit,
		InputEnded: s.eof,
		Ended:      s.server.ctx.Done(), // at that moment the process gets a signal, and would report it as its exit
		Gone:       s.gone,
		Ready:      s.server.options.Ready,
		Lost:       s.lost,
		Answering:  &s.answering,
	}
	if s.process.Stdout != nil { // nil if nothing was started
		output.Stdout = s.process.Stdout
	}
	if s.process.Stderr != nil {
		output.Stderr = s.process.Stderr
	}
	s.forget = s.server.onEnd(func() { s.process.Close() })
	s.copying.Add(2)
	s.server.running.Add(1)
	s.server.tasks.Go(func() {
		defer s.copying.Done()
		s.copyInput()
	})
	s.server.tasks.Go(func() {
		defer s.copying.Done()
		defer s.server.running.Add(-1)
		defer close(s.drained)
		s.showNotice()
		output.Drain(s.server.tasks)
	})
}

// showNotice shows the notice in the first session with a terminal. A session without
// one gets none: a program could take it for output.
func (s *session) showNotice() {
	if s.pty == nil || s.server.options.Notice == nil {
		return
	}
	s.server.noticed.Do(func() {
		for _, line := range s.server.options.Notice() {
			io.WriteString(s.channel.Stderr(), line+"\r\n")
		}
	})
}

// copyInput copies the client's data to the process. When the process takes no more,
// it still reads and drops the data, so that the client never blocks on it.
func (s *session) copyInput() {
	defer close(s.inputEnded)
	input := sshconn.NotifyEnd(s.channel, s.eof)
	var err error
	if s.process.Stdin != nil {
		err = sshconn.Copy(s.process.Stdin, input, nil)
		s.process.Stdin.Close()
	}
	if err != nil && sshconn.IsOpenSSH(s.server.conn.ClientVersion()) { // tells the client to stop reading its own input
		s.channel.SendRequest("eow@openssh.com", false, nil)
	}
	io.Copy(io.Discard, input)
}

// resize is answered with success also without a terminal, as sshd does: there is
// nothing to resize then.
func (s *session) resize(payload []byte) bool {
	var w sshconn.WindowChange
	if ssh.Unmarshal(payload, &w) != nil {
		return false
	}
	if s.pty == nil {
		return true
	}
	s.pty.Size = machine.Size(w)
	if s.process != nil && s.process.Resize != nil {
		s.process.Resize(s.pty.Size)
	}
	return true
}

// signal passes a signal on (RFC 4254 §6.9), but not to a subsystem, as in sshd.
func (s *session) signal(payload []byte) bool {
	var signal sshconn.SignalRequest
	if ssh.Unmarshal(payload, &signal) != nil || s.process == nil || s.kind == machine.Subsystem || unix.SignalNum("SIG"+signal.Name) == 0 {
		return false
	}
	return s.process.Signal(signal.Name) == nil
}

func (s *session) sendBreak() bool { // RFC 4335
	return s.process != nil && s.process.Break != nil && s.process.Break() == nil
}

// stopOutput closes the gateway's end of stdout, so that the process gets SIGPIPE.
func (s *session) stopOutput() {
	if s.process != nil && s.process.Stdout != nil && s.pty == nil { // closing a pty would hang it up
		s.process.Stdout.Close()
	}
}
