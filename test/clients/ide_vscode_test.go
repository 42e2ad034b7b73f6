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
	id := "ide-" + harness.Mark()
	first := openWindow(t, to, args, id, "")
	first.wantManyConnections(t)

	second := openWindow(t, to, args, id, "")
	if second.server != first.server {
		t.Errorf("a second connection finds %+v, not %+v", second.server, first.server)
	}
	second.wantManyConnections(t)

	first.client.Kill()
	second.client.Kill()
	first.client.Wait(t)
	again := openWindow(t, to, args, id, "")
	if again.server != first.server {
		t.Errorf("after a disconnect %+v is found, not %+v", again.server, first.server)
	}
	again.wantManyConnections(t)
}

// vscodeBySocket is the same with remote.SSH.remoteServerListenOnSocket: the
// second connection forwards to the socket that the first one tells of.
func vscodeBySocket(t *testing.T, to harness.Target) {
	id := "ide-" + harness.Mark()
	first := openWindow(t, to, "h bash", id, to.FarSocket(t))
	address := harness.FreeAddress(t)
	to.Forward(t, "-L", address+":"+first.server.where)
	harness.Eventually(t, "the forward", func() bool { return harness.Answers(address) })
	harness.WantEcho(t, "tcp", address)

	first.client.Kill()
	first.client.Wait(t)
	harness.WantEcho(t, "tcp", address)
	if again := openWindow(t, to, "h bash", id, "unused"); again.server != first.server {
		t.Errorf("after a disconnect %+v is found, not %+v", again.server, first.server)
	}
}

// window is an editor's connection and the server it found.
type window struct {
	client *harness.Client
	proxy  string
	server ideServer
}

type ideServer struct{ pid, where string }

func openWindow(t *testing.T, to harness.Target, args, id, socket string) window {
	t.Helper()
	proxy := harness.FreeAddress(t)
	_, port, _ := net.SplitHostPort(proxy)
	c := to.Start(t, "exec ssh -T -D "+port+" "+args)
	go c.Stdin.Write([]byte(ideScript(t, id, socket)))
	said := strings.TrimPrefix(readUntil(t, c, id+": end\n"), greeting(t, to, args))
	found := regexp.MustCompile(`^` + id + `: start\npid==(\d+)==\nlisteningOn==(\S+)==\n` + id + `: end\n$`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("%s: no markers alone on stdout: %s", args, harness.Brief(said))
	}
	return window{c, proxy, ideServer{found[1], found[2]}}
}

// greeting is what the door says by itself: a host's own sshd may show its message
// of the day where no command is asked for.
func greeting(t *testing.T, to harness.Target, args string) string {
	t.Helper()
	return to.Run(t, "exec ssh -T "+args+" </dev/null").Stdout
}

// ideScript is testdata/ide.sh in the editor's words.
func ideScript(t *testing.T, id, socket string) string {
	t.Helper()
	words := strings.NewReplacer("ID", id, "SOCKET", socket, "SERVER", harness.ServerProgram("echo.py"))
	return words.Replace(harness.Read(t, "testdata/ide.sh"))
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
