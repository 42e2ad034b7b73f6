package harness

import (
	"bufio"
	"bytes"
	"embed"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// servers has programs that print where they listen.
//
//go:embed testdata/*.py
var servers embed.FS

// ServerProgram returns the source of a program in testdata: echo.py, shout.py,
// web.py.
func ServerProgram(name string) string {
	text, err := servers.ReadFile("testdata/" + name)
	if err != nil {
		panic(err) // it is built in
	}
	return string(text)
}

// StartEcho starts an echo server in the target (testdata/echo.py) and returns its
// port, or the path of the given socket.
func (to Target) StartEcho(t *testing.T, socket string) string {
	t.Helper()
	return to.startPython(t, "echo.py", socket)
}

// StartWeb starts a web server in the target (testdata/web.py) and returns its
// port.
func (to Target) StartWeb(t *testing.T) string {
	t.Helper()
	return to.startPython(t, "web.py", "")
}

// startPython starts a program in the target and returns where it listens.
func (to Target) startPython(t *testing.T, file, arg string) string {
	t.Helper()
	server := to.Start(t, `exec ssh h "python3 -c $(printf %q "$PROGRAM") $ARG"`, "PROGRAM="+ServerProgram(file), "ARG="+arg)
	return strings.TrimSpace(server.ReadLine(t))
}

// StartLocalEcho starts an echo server on this machine.
func StartLocalEcho(t *testing.T, args ...string) string {
	t.Helper()
	return StartServer(t, exec.Command("python3", append([]string{"-c", ServerProgram("echo.py")}, args...)...))
}

// StartServer starts a server, which ends with its input, and returns where it
// listens.
func StartServer(t *testing.T, command *exec.Cmd) (where string) {
	t.Helper()
	_, stdout := Talk(t, command)
	where, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(where)
}

// Shout sends a word to a server in the target (testdata/shout.py).
func (to Target) Shout(t *testing.T, where, word string) {
	t.Helper()
	to.Want(t, `ssh h "$SHOUT"`, strings.ToUpper(word)+"\n", "SHOUT="+Shouting(where, word))
}

// Shouting returns that command for a shell; the program contains no single quote.
func Shouting(where, word string) string {
	return fmt.Sprintf("python3 -c '%s' %s %s", ServerProgram("shout.py"), where, word)
}

// WantEcho sends a megabyte and its end, and expects it back in capitals; the server
// answers only when all of it has arrived.
func WantEcho(t *testing.T, network, address string) {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	WantEchoOn(t, conn)
}

// WantEchoOn is WantEcho on an open connection.
func WantEchoOn(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(3 * Patience)) // a megabyte, on a busy machine
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
