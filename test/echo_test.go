package test

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// startEcho starts an echo server in the target (testdata/echo.py) and returns
// its port, or the path of the socket that is named.
func (to target) startEcho(t *testing.T, socket string) string {
	t.Helper()
	return to.startPython(t, "testdata/echo.py", socket)
}

// startWeb starts a web server in the target (testdata/web.py) and returns its
// port.
func (to target) startWeb(t *testing.T) string {
	t.Helper()
	return to.startPython(t, "testdata/web.py", "")
}

// startPython starts a program in the target that says where it listens.
func (to target) startPython(t *testing.T, file, arg string) string {
	t.Helper()
	server := to.start(t, `exec ssh h "python3 -c $(printf %q "$PROGRAM") $ARG"`, "PROGRAM="+read(t, file), "ARG="+arg)
	where, err := bufio.NewReader(server.stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s does not run in the target: %v", file, err)
	}
	return strings.TrimSpace(where)
}

// startLocalEcho is the same here.
func startLocalEcho(t *testing.T, args ...string) string {
	t.Helper()
	return startServer(t, exec.Command("python3", append([]string{"testdata/echo.py"}, args...)...))
}

// startServer starts a server that says where it listens, and ends with its
// input.
func startServer(t *testing.T, command *exec.Cmd) (where string) {
	t.Helper()
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		command.Wait()
	})
	where, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(where)
}

// shout sends a word to a server in the target (testdata/shout.py).
func (to target) shout(t *testing.T, where, word string) {
	t.Helper()
	to.want(t, `ssh h "$SHOUT"`, strings.ToUpper(word)+"\n", "SHOUT="+shouting(where, word))
}

//go:embed testdata/shout.py
var shoutProgram string

// shouting is the command for a shell; the program has no single quote.
func shouting(where, word string) string {
	return fmt.Sprintf("python3 -c '%s' %s %s", shoutProgram, where, word)
}

// wantEcho wants a megabyte back in capitals, sent only when all of it and the
// end of it have arrived.
func wantEcho(t *testing.T, network, address string) {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wantEchoOn(t, conn)
}

func wantEchoOn(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(patience))
	sent := bytes.Repeat([]byte("what "), 200_000)
	go func() {
		conn.Write(sent)
		conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, bytes.ToUpper(sent)) {
		t.Errorf("got %d bytes back and %v, want %d in capitals", len(got), err, len(sent))
	}
}
