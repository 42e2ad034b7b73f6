package parity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// protocol asks what no client asks by itself, message by message.
func protocol(t *testing.T, to harness.Target) {
	for name, ask := range map[string]func(*testing.T, *ssh.Client){
		"channels_that_cannot_be_opened":    refusedChannels,
		"global_requests_that_nobody_knows": unknownGlobalRequests,
		"forward_from_any_address":          forwardsFromAddresses,
		"forward_from_a_socket":             forwardFromSocket,
		"signals_reach_the_process":         func(t *testing.T, c *ssh.Client) { signalsIn(t, to, c) },
		"signal_that_ended_it_is_named":     signalsOut,
		"signals_reach_no_subsystem":        noSignalsIn,
		"break_is_for_terminals":            breaks,
		"data_comes_before_the_command":     dataBeforeCommand,
		"requests_that_make_no_sense":       senselessRequests,
		"channel_is_closed_while_it_runs":   closedWhileItRuns,
		"no_more_sessions":                  noMoreSessions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask(t, to.Enter(t))
		})
	}
}

// say is the output of a command.
func say(t *testing.T, c *ssh.Client, command string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Output(command)
	if err != nil {
		t.Errorf("%s: %v", command, err)
	}
	return string(out)
}

func wantAlive(t *testing.T, c *ssh.Client) {
	t.Helper()
	if got := say(t, c, "echo alive"); got != "alive\n" {
		t.Errorf("a command then prints %q", got)
	}
}

// nothing is the payload of what has none.
type nothing struct {
	None []byte `ssh:"rest"`
}

type directTCPIP struct {
	Host   string
	Port   uint32
	Origin string
	From   uint32
}

type directStreamlocal struct {
	Path     string
	Reserved string
	Port     uint32
}

func refusedChannels(t *testing.T, c *ssh.Client) {
	for _, channel := range []struct {
		kind    string
		extra   any
		reasons []ssh.RejectionReason
		words   string
	}{
		{"direct-tcpip", directTCPIP{"127.0.0.1", 1, "127.0.0.1", 2}, []ssh.RejectionReason{ssh.ConnectionFailed}, "refused"},
		{"direct-tcpip", directTCPIP{"nonesuch.invalid", 80, "127.0.0.1", 2}, []ssh.RejectionReason{ssh.ConnectionFailed}, ""},
		{"direct-tcpip", directTCPIP{"127.0.0.1", 70_000, "127.0.0.1", 2}, []ssh.RejectionReason{ssh.Prohibited}, ""},
		{"direct-streamlocal@openssh.com", directStreamlocal{Path: "/nonesuch/socket"}, []ssh.RejectionReason{ssh.ConnectionFailed}, ""},
		// To what it does not know or let in, sshd says that a connection failed.
		{"nonesuch@example.com", nothing{}, []ssh.RejectionReason{ssh.UnknownChannelType, ssh.ConnectionFailed}, ""},
		{"tun@openssh.com", struct{ Mode, Unit uint32 }{1, 0}, []ssh.RejectionReason{ssh.UnknownChannelType, ssh.Prohibited, ssh.ConnectionFailed}, ""},
		{"x11", struct {
			Host string
			Port uint32
		}{"127.0.0.1", 2}, []ssh.RejectionReason{ssh.UnknownChannelType, ssh.ConnectionFailed}, ""},
		{"auth-agent@openssh.com", nothing{}, []ssh.RejectionReason{ssh.UnknownChannelType, ssh.ConnectionFailed}, ""},
	} {
		_, _, err := c.OpenChannel(channel.kind, ssh.Marshal(channel.extra))
		refused, ok := errors.AsType[*ssh.OpenChannelError](err)
		if !ok || !slices.Contains(channel.reasons, refused.Reason) || !strings.Contains(strings.ToLower(refused.Message), channel.words) {
			t.Errorf("%s: %v, want reason %v and %q", channel.kind, err, channel.reasons, channel.words)
		}
	}
	wantAlive(t, c)
}

func unknownGlobalRequests(t *testing.T, c *ssh.Client) {
	for _, name := range []string{"nonesuch@example.com", "keepalive@openssh.com", "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com"} {
		payload := ssh.Marshal(struct {
			Address string
			Port    uint32
		}{"127.0.0.1", 1})
		if ok, _, err := c.SendRequest(name, true, payload); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	wantAlive(t, c)
}

type forwardedTCPIP struct {
	Address string
	Port    uint32
	Origin  string
	From    uint32
}

// What the client called the address is how it knows the forward.
func forwardsFromAddresses(t *testing.T, c *ssh.Client) {
	opened := c.HandleChannelOpen("forwarded-tcpip")
	for _, address := range []string{"localhost", "127.0.0.1", "", "0.0.0.0", "*"} {
		payload := ssh.Marshal(struct {
			Address string
			Port    uint32
		}{address, 0})
		ok, reply, err := c.SendRequest("tcpip-forward", true, payload)
		var port struct{ Port uint32 }
		if !ok || err != nil || ssh.Unmarshal(reply, &port) != nil || port.Port == 0 {
			t.Errorf("%q: %v, %x, %v", address, ok, reply, err)
			continue
		}
		said := make(chan string)
		go func() {
			said <- say(t, c, fmt.Sprintf(`bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d; echo hi >&3; cat <&3'`, port.Port))
		}()
		asked, open := <-opened
		if !open {
			t.Fatalf("%q: the connection has ended", address)
		}
		wantForwarded(t, asked, address, port.Port)
		if got := <-said; got != "HI\n" {
			t.Errorf("%q: the connection gets %q", address, got)
		}
		payload = ssh.Marshal(struct {
			Address string
			Port    uint32
		}{address, port.Port})
		for _, want := range []bool{true, false} {
			if ok, _, err := c.SendRequest("cancel-tcpip-forward", true, payload); ok != want || err != nil {
				t.Errorf("%q: cancelled %v, %v; want %v", address, ok, err, want)
			}
		}
	}
}

func wantForwarded(t *testing.T, asked ssh.NewChannel, address string, port uint32) {
	t.Helper()
	var extra forwardedTCPIP
	if err := ssh.Unmarshal(asked.ExtraData(), &extra); err != nil || extra.Address != address || extra.Port != port ||
		extra.Origin != "127.0.0.1" || extra.From == 0 {
		t.Errorf("forwarded %+v, %v; want %q and %d", extra, err, address, port)
	}
	shoutBack(asked)
}

// shoutBack answers a line in capitals.
func shoutBack(asked ssh.NewChannel) {
	channel, requests, err := asked.Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	line := make([]byte, 3)
	io.ReadFull(channel, line)
	channel.Write(bytes.ToUpper(line))
	channel.Close()
}

func forwardFromSocket(t *testing.T, c *ssh.Client) {
	opened := c.HandleChannelOpen("forwarded-streamlocal@openssh.com")
	path := "/tmp/" + harness.Mark()
	t.Cleanup(func() { os.Remove(path) })
	payload := ssh.Marshal(struct{ Path string }{path})
	if ok, reply, err := c.SendRequest("streamlocal-forward@openssh.com", true, payload); !ok || len(reply) > 0 || err != nil {
		t.Fatalf("%v, %x, %v", ok, reply, err)
	}
	go func() {
		asked, open := <-opened
		if !open {
			return // with the connection
		}
		var extra struct{ Path, Reserved string }
		if err := ssh.Unmarshal(asked.ExtraData(), &extra); err != nil || extra.Path != path {
			t.Errorf("forwarded %+v, %v", extra, err)
		}
		shoutBack(asked)
	}()
	if got := say(t, c, harness.Shouting(path, "hey")); got != "HEY\n" {
		t.Errorf("the connection gets %q", got)
	}
	for _, want := range []bool{true, false} {
		if ok, _, err := c.SendRequest("cancel-streamlocal-forward@openssh.com", true, payload); ok != want || err != nil {
			t.Errorf("cancelled %v, %v; want %v", ok, err, want)
		}
	}
}

// begin starts a command, whose input stays open, and waits for its first line.
func begin(t *testing.T, c *ssh.Client, command string) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(command); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	go io.Copy(io.Discard, out)
	return s
}

func signalsIn(t *testing.T, to harness.Target, c *ssh.Client) {
	if to.Name != "local" && say(t, c, "id -u") == "0\n" {
		t.Skip("sshd passes no signal on to root's processes")
	}
	for i, signal := range []ssh.Signal{ssh.SIGHUP, ssh.SIGINT, ssh.SIGTERM, ssh.SIGUSR1, ssh.SIGUSR2} {
		s := begin(t, c, fmt.Sprintf(`exec bash -c 'trap "exit %d" %s; echo ready; while :; do sleep 0.05; done'`, 20+i, signal))
		if err := s.Signal(signal); err != nil {
			t.Fatal(err)
		}
		var exit *ssh.ExitError
		if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 20+i {
			t.Errorf("%s: %v", signal, err)
		}
	}
}

func noSignalsIn(t *testing.T, c *ssh.Client) {
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.SendRequest("signal", true, ssh.Marshal(struct{ Name string }{"KILL"})); ok || err != nil {
		t.Errorf("answered with %v, %v", ok, err)
	}
	in.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3}) // SSH_FXP_INIT
	if _, err := io.ReadFull(out, make([]byte, 9)); err != nil {
		t.Errorf("the sftp server answers no more: %v", err)
	}
}

func signalsOut(t *testing.T, c *ssh.Client) {
	for _, signal := range []string{"KILL", "TERM", "HUP", "SEGV", "ABRT", "USR1", "PIPE"} {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var exit *ssh.ExitError
		if err := s.Run("exec bash -c 'ulimit -c 0; kill -" + signal + " $$'"); !errors.As(err, &exit) || exit.Signal() != signal {
			t.Errorf("%s: %v", signal, err)
		}
	}
}

func breaks(t *testing.T, c *ssh.Client) {
	length := ssh.Marshal(struct{ Milliseconds uint32 }{500})
	s := begin(t, c, "echo ready; cat")
	if ok, err := s.SendRequest("break", true, length); ok || err != nil {
		t.Errorf("without a terminal: %v, %v", ok, err)
	}
	s.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Start("cat"); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.SendRequest("break", true, length); !ok || err != nil {
		t.Errorf("on a terminal: %v, %v", ok, err)
	}
	wantAlive(t, c)
}

// sshd opens its window with the command, the gateway before: who writes early
// is patient or quick, and loses nothing.
func dataBeforeCommand(t *testing.T, c *ssh.Client) {
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s.Stdout = &out
	go func() {
		io.WriteString(in, strings.Repeat("early ", 10_000))
		in.Close()
	}()
	if err := s.Run("cat; exit 3"); err == nil || out.String() != strings.Repeat("early ", 10_000) {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}

func senselessRequests(t *testing.T, c *ssh.Client) {
	s := begin(t, c, "echo ready; cat; exit 4")
	for _, request := range []struct {
		name    string
		payload any
	}{
		{"exec", struct{ Command string }{"echo a second one"}},
		{"shell", nothing{}},
		{"subsystem", struct{ Name string }{"sftp"}},
		{"pty-req", struct {
			Term string
			Size [16]byte
			Mode string
		}{Term: "xterm"}},
		{"env", struct{ Name, Value string }{"LC_LATE", "x"}},
		{"signal", struct{ Name string }{"NONESUCH"}},
		{"xon-xoff", struct{ Can bool }{true}},
		{"auth-agent-req@openssh.com", nothing{}},
		{"exit-status", struct{ Status uint32 }{9}},
		{"nonesuch@example.com", nothing{}},
		{"eow@openssh.com", nothing{}},
	} {
		if ok, err := s.SendRequest(request.name, true, ssh.Marshal(request.payload)); ok || err != nil {
			t.Errorf("%s: %v, %v", request.name, ok, err)
		}
	}
	size := ssh.Marshal(struct{ Columns, Rows, Width, Height uint32 }{Columns: 10, Rows: 10})
	if ok, err := s.SendRequest("window-change", true, size); !ok || err != nil { // without a terminal
		t.Errorf("window-change: %v, %v", ok, err)
	}
	s.Close()
	wantAlive(t, c)
}

func closedWhileItRuns(t *testing.T, c *ssh.Client) {
	m := harness.Mark()
	s := begin(t, c, "echo ready; exec -a "+m+" yes")
	harness.AwaitMarked(t, m)
	s.Close()
	harness.AwaitNoneMarked(t, m)
	wantAlive(t, c)
}

// Somebody who gets hold of a client's connection, by its memory or by a library that
// it has loaded, opens a session of his own on it. A client that wants no more says so.
func noMoreSessions(t *testing.T, c *ssh.Client) {
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := c.SendRequest("no-more-sessions@openssh.com", true, nil); !ok || err != nil {
		t.Errorf("answered with %v, %v", ok, err)
	}
	if err := s.Start("cat"); err != nil { // the session that was there goes on
		t.Fatal(err)
	}
	io.WriteString(in, "alive\n")
	said := make([]byte, len("alive\n"))
	if _, err := io.ReadFull(out, said); string(said) != "alive\n" {
		t.Errorf("%q, %v", said, err)
	}
	_, _, err = c.OpenChannel("direct-tcpip", ssh.Marshal(directTCPIP{"127.0.0.1", 1, "127.0.0.1", 2}))
	if refused := (*ssh.OpenChannelError)(nil); !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed {
		t.Errorf("a forward: %v", err)
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("one more session is opened")
	}
	ended := make(chan struct{})
	go func() {
		c.Wait()
		close(ended)
	}()
	harness.AwaitEnd(t, "the connection ends", ended)
}
