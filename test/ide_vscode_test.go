package test

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// vscode does what VS Code, Cursor and others do with OpenSSH's client: one
// connection with a SOCKS proxy, on which a script that goes in by standard
// input starts a server in the host, or finds one, and prints where it listens.
func (to target) vscode(t *testing.T) {
	for name, args := range map[string]string{
		"sh":            "-o RemoteCommand=none h sh",
		"bash":          "-o ConnectTimeout=15 h bash",
		"no_command":    "-o ConnectTimeout=15 h",
		"verbose_shell": "-v -o RemoteCommand=none h 2>/dev/null",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to.vscodeByPort(t, args)
		})
	}
	t.Run("unix_socket", func(t *testing.T) {
		t.Parallel()
		to.vscodeBySocket(t)
	})
}

func (to target) vscodeByPort(t *testing.T, args string) {
	id := "ide-" + mark()
	first := to.openWindow(t, args, id, "")
	first.wantManyConnections(t)

	second := to.openWindow(t, args, id, "")
	if second.server != first.server {
		t.Errorf("a second connection finds %+v, not %+v", second.server, first.server)
	}
	second.wantManyConnections(t)

	first.client.kill()
	second.client.kill()
	first.client.wait(t)
	again := to.openWindow(t, args, id, "")
	if again.server != first.server {
		t.Errorf("after a disconnect %+v is found, not %+v", again.server, first.server)
	}
	again.wantManyConnections(t)
}

// vscodeBySocket is the same with remote.SSH.remoteServerListenOnSocket: the
// second connection forwards to the socket that the first one tells of.
func (to target) vscodeBySocket(t *testing.T) {
	id := "ide-" + mark()
	first := to.openWindow(t, "h bash", id, to.farSocket(t))
	address := freeAddress(t)
	to.forward(t, "-L", address+":"+first.server.where)
	await(t, "the forward", func() bool { return answers(address) })
	wantEcho(t, "tcp", address)

	first.client.kill()
	first.client.wait(t)
	wantEcho(t, "tcp", address)
	if again := to.openWindow(t, "h bash", id, "unused"); again.server != first.server {
		t.Errorf("after a disconnect %+v is found, not %+v", again.server, first.server)
	}
}

// window is an editor's connection and the server it found.
type window struct {
	client *client
	proxy  string
	server ideServer
}

type ideServer struct{ pid, where string }

func (to target) openWindow(t *testing.T, args, id, socket string) window {
	t.Helper()
	proxy := freeAddress(t)
	_, port, _ := net.SplitHostPort(proxy)
	c := to.start(t, "exec ssh -T -D "+port+" "+args)
	go c.stdin.Write([]byte(ideScript(t, id, socket)))
	said := readUntil(t, c, id+": end\n")
	found := regexp.MustCompile(`^` + id + `: start\npid==(\d+)==\nlisteningOn==(\S+)==\n` + id + `: end\n$`).FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("%s: no markers alone on stdout: %s", args, brief(said))
	}
	return window{c, proxy, ideServer{found[1], found[2]}}
}

// ideScript starts a server in the background (testdata/echo.py, which lives
// as long as its input) or finds it, and prints markers.
func ideScript(t *testing.T, id, socket string) string {
	t.Helper()
	return fmt.Sprintf(`
dir=$HOME/.%[1]s
echo '%[1]s: start'
if ! { test -s $dir/pid && kill -0 "$(cat $dir/pid)"; } 2>/dev/null; then
	mkdir -p $dir
	cat >$dir/server.py <<'END'
%[2]s
END
	mkfifo $dir/input
	nohup python3 $dir/server.py %[3]s <>$dir/input >$dir/log 2>&1 &
	echo $! >$dir/pid
	while ! test -s $dir/log; do sleep 0.1; done
fi
echo "pid==$(cat $dir/pid)=="
echo "listeningOn==$(tail -n 1 $dir/log)=="
echo '%[1]s: end'
`, id, read(t, "testdata/echo.py"), socket)
}

// readUntil reads what the client prints, line by line.
func readUntil(t *testing.T, c *client, last string) string {
	t.Helper()
	lines := make(chan string)
	go func() {
		defer close(lines)
		reader := bufio.NewReader(c.stdout)
		for line, err := reader.ReadString('\n'); err == nil; line, err = reader.ReadString('\n') {
			lines <- line
		}
	}()
	var said strings.Builder
	await(t, "the line "+last, func() bool {
		select {
		case line, open := <-lines:
			said.WriteString(line)
			return line == last || !open
		default:
			return false
		}
	})
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
		socksConnect(t, conn, port)
		all.Go(func() { wantEchoOn(t, conn) })
	}
	all.Wait()
}
