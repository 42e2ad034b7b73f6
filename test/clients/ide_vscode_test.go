package clients

import (
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// vscode does what VS Code, Cursor and others do with OpenSSH's client: one
// connection with a SOCKS proxy, on which a script that goes in by standard
// input starts a server in the host, or finds one, and prints where it listens.
func vscode(t *testing.T, to harness.Target) {
	for name, args := range map[string]string{
		"sh":            "-o RemoteCommand=none h sh",
		"bash":          "-o ConnectTimeout=15 h bash",
		"no_command":    "-o ConnectTimeout=15 h",
		"verbose_shell": "-v -o RemoteCommand=none h 2>/dev/null",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vscodeByPort(t, to, args)
		})
	}
	t.Run("unix_socket", func(t *testing.T) {
		t.Parallel()
		vscodeBySocket(t, to)
	})
}

func vscodeByPort(t *testing.T, to harness.Target, args string) {
	e := standIn(t, "")
	first := e.openWindow(t, to, args)
	first.wantManyConnections(t)

	second := e.openWindow(t, to, args)
	if second.server != first.server {
		t.Errorf("a second connection finds %+v, not %+v", second.server, first.server)
	}
	second.wantManyConnections(t)

	first.client.Kill()
	second.client.Kill()
	first.client.Wait(t)
	again := e.openWindow(t, to, args)
	if again.server != first.server {
		t.Errorf("after a disconnect %+v is found, not %+v", again.server, first.server)
	}
	again.wantManyConnections(t)
}

// vscodeBySocket is the same with remote.SSH.remoteServerListenOnSocket: the
// second connection forwards to the socket that the first one tells of.
func vscodeBySocket(t *testing.T, to harness.Target) {
	e := standIn(t, to.FarSocket(t))
	first := e.openWindow(t, to, "h bash")
	address := harness.FreeAddress(t)
	to.Forward(t, "-L", address+":"+first.server.where)
	harness.Eventually(t, "the forward", func() bool { return harness.Answers(address) })
	harness.WantEcho(t, "tcp", address)

	first.client.Kill()
	first.client.Wait(t)
	harness.WantEcho(t, "tcp", address)
	if again := e.openWindow(t, to, "h bash"); again.server != first.server {
		t.Errorf("after a disconnect %+v is found, not %+v", again.server, first.server)
	}
}

// editor is one that starts a server in a host by a script.
type editor struct{ id, script string }

// newEditor is one that starts its server by a file of testdata; words are those
// that it puts there, and listens is what the server says before its address.
func newEditor(t *testing.T, start, listens string, words ...string) editor {
	t.Helper()
	id := "ide-" + harness.Mark()
	start = strings.NewReplacer(words...).Replace(harness.Read(t, start))
	script := strings.NewReplacer("ID", id, "START", start, "LISTENS", listens).Replace(harness.Read(t, "testdata/ide.sh"))
	return editor{id, script}
}

// standIn is an editor whose server echoes, on a port or on the socket.
func standIn(t *testing.T, socket string) editor {
	t.Helper()
	return newEditor(t, "testdata/ide_echo.sh", "", "SOCKET", socket, "SERVER", harness.ServerProgram("echo.py"))
}

// window is an editor's connection and the server it found.
type window struct {
	client *harness.Client
	proxy  string
	server ideServer
}

type ideServer struct{ pid, where string }

func (e editor) openWindow(t *testing.T, to harness.Target, args string) window {
	t.Helper()
	return e.openWindowAt(t, to, harness.FreeAddress(t), args)
}

// openWindowAt has the connection's SOCKS proxy listen there.
func (e editor) openWindowAt(t *testing.T, to harness.Target, proxy, args string) window {
	t.Helper()
	c := to.Start(t, "exec ssh -T -D "+proxy+" "+args)
	go c.Stdin.Write([]byte(e.script))
	said := readUntil(t, c, e.id+": end\n")
	if to.Name == "sshd" { // which may show its message of the day where no command is asked for
		said = said[max(0, strings.Index(said, e.id)):]
	}
	found := regexp.MustCompile(`^` + e.id + `: start\npid==(\d+)==\nlisteningOn==(\S+)==\n` + e.id + `: end\n$`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("%s: no markers alone on stdout: %s", args, harness.Brief(said))
	}
	return window{c, proxy, ideServer{found[1], found[2]}}
}

// readUntil is what the client prints up to a line.
func readUntil(t *testing.T, c *harness.Client, last string) string {
	t.Helper()
	var said strings.Builder
	for !strings.HasSuffix(said.String(), last) {
		said.WriteString(c.ReadLine(t) + "\n")
	}
	return said.String()
}

// wantManyConnections talks to the server through the proxy, at once.
func (w window) wantManyConnections(t *testing.T) {
	t.Helper()
	port, err := strconv.Atoi(w.server.where)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		conn, err := net.Dial("tcp", w.proxy)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		harness.SocksConnect(t, conn, port)
		all.Go(func() { harness.WantEchoOn(t, conn) })
	}
	all.Wait()
}
