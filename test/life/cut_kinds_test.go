package life

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/berth-ssh/berth/test/harness"
)

// connectionKind is a way to use a connection. An error tells that it is over.
type connectionKind struct {
	name string
	use  func(*ssh.Client) error
}

func connectionKinds(t *testing.T, to harness.Target) []connectionKind {
	t.Helper()
	port, socket := to.StartEcho(t, ""), to.StartEcho(t, to.FarSocket(t))
	keys := newKeyring(t)
	return []connectionKind{
		{"commands", func(c *ssh.Client) error {
			return inSession(c, func(s *ssh.Session) error { return ended(s.Run("seq 1000")) })
		}},
		{"output", func(c *ssh.Client) error { return inSession(c, output) }},
		{"input", func(c *ssh.Client) error { return inSession(c, input) }},
		{"both", func(c *ssh.Client) error { return inSession(c, both) }},
		{"terminal", func(c *ssh.Client) error { return inSession(c, terminal) }},
		{"sessions", manySessions},
		{"sftp", readBySftp},
		{"direct-tcpip", func(c *ssh.Client) error { return askEcho(c, "tcp", "127.0.0.1:"+port) }},
		{"direct-streamlocal", func(c *ssh.Client) error { return askEcho(c, "unix", socket) }},
		{"direct-tcpip to nobody", func(c *ssh.Client) error { return askNobody(c) }},
		{"forwarded-tcpip", func(c *ssh.Client) error { return forwardPort(c) }},
		{"forwarded-streamlocal", func(c *ssh.Client) error { return forwardSocket(c, socket+"-"+harness.Mark()) }},
		{"auth-agent", func(c *ssh.Client) error { return askAgent(c, keys) }},
	}
}

func newKeyring(t *testing.T) agent.Agent {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	return keys
}

func inSession(c *ssh.Client, use func(*ssh.Session) error) error {
	s, err := c.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	return use(s)
}

// ended takes an exit status for a good end.
func ended(err error) error {
	if _, exited := err.(*ssh.ExitError); exited {
		return nil
	}
	return err
}

func output(s *ssh.Session) error {
	s.Stdout, s.Stderr = io.Discard, io.Discard
	return s.Run("cat /dev/zero & cat /dev/zero >&2")
}

func input(s *ssh.Session) error {
	s.Stdin = zeros{}
	return s.Run("cat >/dev/null")
}

func both(s *ssh.Session) error {
	s.Stdin, s.Stdout = zeros{}, io.Discard
	return s.Run("cat")
}

func terminal(s *ssh.Session) error {
	s.Stdout = io.Discard
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		return err
	}
	if err := s.Start("yes"); err != nil {
		return err
	}
	for i := 1; ; i++ {
		if err := s.WindowChange(24+i%10, 80); err != nil {
			return err
		}
	}
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func manySessions(c *ssh.Client) error {
	var last error
	for range 20 {
		s, err := c.NewSession()
		if err != nil {
			return err
		}
		if err := s.Start("cat"); err != nil {
			return err
		}
		last = err
	}
	return last
}

func readBySftp(c *ssh.Client) error {
	files, err := sftp.NewClient(c)
	if err != nil {
		return err
	}
	defer files.Close()
	for {
		if _, err := files.ReadDir("/etc"); err != nil {
			return err
		}
	}
}

func askEcho(c *ssh.Client, network, address string) error {
	conn, err := c.Dial(network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() {
		io.WriteString(conn, strings.Repeat("word ", 20_000))
		conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	_, err = io.Copy(io.Discard, conn)
	return err
}

func askNobody(c *ssh.Client) error {
	_, err := c.Dial("tcp", "127.0.0.1:1")
	if _, refused := err.(*ssh.OpenChannelError); refused {
		return nil
	}
	return err
}

func forwardPort(c *ssh.Client) error {
	listener, err := c.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return visit(c, listener, fmt.Sprintf(`bash -c 'exec 3<>/dev/tcp/127.0.0.1/%s; head -c 100K /dev/zero >&3; cat <&3'`, port))
}

func forwardSocket(c *ssh.Client, path string) error {
	listener, err := c.ListenUnix(path)
	if err != nil {
		return err
	}
	return visit(c, listener, harness.Shouting(path, "$(head -c 100000 /dev/zero | tr '\\0' x)"))
}

// visit has a command in the target connect to the listener, and takes what it
// sends.
func visit(c *ssh.Client, listener net.Listener, command string) error {
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			io.CopyN(io.Discard, conn, 100_000)
			conn.Close()
		}
	}()
	return inSession(c, func(s *ssh.Session) error { return ended(s.Run(command)) })
}

func askAgent(c *ssh.Client, keys agent.Agent) error {
	if err := agent.ForwardToAgent(c, keys); err != nil && !strings.Contains(err.Error(), "already") {
		return err
	}
	return inSession(c, func(s *ssh.Session) error {
		if err := agent.RequestAgentForwarding(s); err != nil {
			return err
		}
		return ended(s.Run("for i in 1 2 3 4 5 6 7 8; do ssh-add -l; done"))
	})
}
