package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/berth-ssh/berth/printable"
)

const (
	defaultSocket = "/var/run/docker.sock"

	// linkRetry is how long no new attempt is made after a link failed or was lost:
	// calls in that time fail at once, with the reason.
	linkRetry = time.Second
)

// LinkError says, in ssh's own words, why a box cannot be reached by ssh.
type LinkError struct {
	Box string // user@host
	Why string // one line
}

func (e *LinkError) Error() string { return fmt.Sprintf("ssh %s: %s", e.Box, e.Why) }

var errLinkClosed = errors.New("the connection to the box was closed")

// link is one ssh connection to the box of an engine. It is made at the first call,
// and carries all calls: each connection to the engine is a channel of it.
//
// The ssh command makes it, since only OpenSSH has its rules of known hosts, agents,
// jump hosts and ssh_config. It forwards the engine's socket to one in a directory
// that only this user can enter. It never asks for a password, and ends with this
// process.
type link struct {
	args   []string // of ssh, without those about sockets
	host   string
	box    string // user@host, for messages
	socket string // on the box

	mu     sync.Mutex
	tunnel *tunnel // the last one; nil before the first
	failed error   // why the last attempt could not start one
	closed bool
}

// newLink parses an address such as ssh://user@host:22/run/user/1000/docker.sock.
func newLink(address string) (*link, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q is not an address such as ssh://user@host", address)
	case strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-"):
		return nil, fmt.Errorf("%q names no host: it begins with -", address)
	}
	if _, given := u.User.Password(); given {
		return nil, errors.New("ssh:// takes no password: use a key, or an agent")
	}
	l := &link{host: u.Hostname(), box: u.Hostname(), socket: defaultSocket}
	if user := u.User.Username(); user != "" {
		l.args, l.box = append(l.args, "-l", user), user+"@"+l.box
	}
	if port := u.Port(); port != "" {
		l.args = append(l.args, "-p", port)
	}
	if u.Path != "" && u.Path != "/" {
		l.socket = u.Path
	}
	if strings.ContainsAny(l.socket, ":$%") { // which ssh would take for more than a path
		return nil, fmt.Errorf("%q is not the path of a socket", l.socket)
	}
	return l, nil
}

// dial opens a connection to the engine. It waits for the link, or until ctx ends.
func (l *link) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	t, err := l.current()
	if err != nil {
		return nil, err
	}
	select {
	case <-t.up:
	case <-t.ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if t.isOver() {
		return nil, &LinkError{l.box, t.why()}
	}
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, &LinkError{l.box, "its connection has ended"}
	}
	return conn, nil
}

// current returns the tunnel that is up or starting. If there is none, it starts one,
// unless the last one has only just ended.
func (l *link) current() (*tunnel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errLinkClosed
	case l.tunnel != nil && (!l.tunnel.isOver() || time.Since(l.tunnel.over) < linkRetry):
		return l.tunnel, nil
	}
	l.tunnel, l.failed = l.open()
	return l.tunnel, l.failed
}

// open starts ssh.
func (l *link) open() (*tunnel, error) {
	dir, err := os.MkdirTemp("", "berth-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "s")
	args := append(sshArgs(path+":"+l.socket), l.args...)
	return startTunnel(dir, path, append(args, "--", l.host))
}

// complaint returns, in ssh's words, why the last connection has ended or cannot
// reach the engine's socket; "" if neither is so.
func (l *link) complaint() string {
	l.mu.Lock()
	t, failed := l.tunnel, l.failed
	l.mu.Unlock()
	switch {
	case failed != nil:
		return failed.Error()
	case t == nil:
		return ""
	case t.isOver():
		return t.why()
	}
	if line := t.said.lastLine(); strings.Contains(line, "open failed") {
		return printable.Line(line, maxWhySSH) + " (" + l.socket + ")"
	}
	return ""
}

// close ends the ssh connection, and with it every connection to the engine.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	t := l.tunnel
	l.mu.Unlock()
	if t != nil {
		t.end()
	}
}
