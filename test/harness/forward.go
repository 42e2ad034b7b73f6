package harness

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Forward starts a client that only forwards, and returns when the server has agreed.
func (to Target) Forward(t *testing.T, args ...string) *Client {
	t.Helper()
	log := filepath.Join(t.TempDir(), "ssh.log")
	c := to.Start(t, fmt.Sprintf(`exec ssh -v -E %s -o ExitOnForwardFailure=yes -N %s h`, log, strings.Join(args, " ")))
	c.log = log
	Eventually(t, "the client to be in", func() bool {
		return strings.Contains(c.said(t), "Entering interactive session") || IsClosed(c.Ended)
	})
	if args[0] == "-R" {
		Eventually(t, "the server's consent", func() bool {
			return strings.Contains(c.said(t), "forward success for") || IsClosed(c.Ended)
		})
	}
	if IsClosed(c.Ended) {
		t.Fatalf("ssh %q ended:\n%s", args, c.said(t))
	}
	return c
}

// said returns the output of ssh -v so far.
func (c *Client) said(t *testing.T) string {
	t.Helper()
	if !Exists(c.log) {
		return ""
	}
	return Read(t, c.log)
}

// AllocatedPort returns the port that the server chose for a forward.
func (c *Client) AllocatedPort(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`Allocated port (\d+) for remote forward`).FindStringSubmatch(c.said(t))
	if found == nil {
		t.Fatalf("no port was allocated:\n%s", c.said(t))
	}
	return found[1]
}

// FarSocket returns a path in the target where a socket can be created. An sshd leaves
// the socket behind when its client goes. If the target is this machine, it is removed
// when the test ends.
func (to Target) FarSocket(t *testing.T) string {
	t.Helper()
	got := to.Run(t, `ssh h mktemp -d`)
	if got.Exit != 0 {
		t.Fatal(got.Stderr)
	}
	dir := strings.TrimSpace(got.Stdout)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir + "/s"
}

// SocksConnect asks a SOCKS 5 server (RFC 1928) to connect to 127.0.0.1.
func SocksConnect(t *testing.T, conn net.Conn, port int) {
	t.Helper()
	conn.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, byte(port >> 8), byte(port)})
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[3] != 0 {
		t.Fatalf("SOCKS answers %v, %v", answer, err)
	}
}
