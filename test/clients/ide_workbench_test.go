package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// envVSCodeServer names the archive that scripts/vscode-server makes.
const envVSCodeServer = "VSCODE_SERVER"

// vscodeServer has VS Code's own server run in a host, as Remote-SSH does, and
// works with it in a browser here: by the SOCKS proxy and a port, and by a
// forward to a unix socket.
func (m matrix) vscodeServer(t *testing.T) {
	onlyWithAll(t)
	harness.Need(t, "node", "/usr/bin/chromium")
	archive := os.Getenv(envVSCodeServer)
	if archive == "" {
		t.Skip("npm has made no server of VS Code: scripts/vscode-server makes it, $" + envVSCodeServer + " names it")
	}
	for _, h := range m.remotes(t) {
		t.Run(h.Name, func(t *testing.T) {
			h.install(t, archive)
			t.Run("by_proxy", h.byProxy)
			t.Run("by_socket", h.bySocket)
		})
	}
}

// remote is a host that an editor works in.
type remote struct {
	harness.Target
	container string
	gateway   *harness.Gateway // none before a host's own sshd
}

func (m matrix) remotes(t *testing.T) []remote {
	streams := harness.StartStreams(t, m.Container)
	all := []remote{{streams.Door, streams.Container, streams.Gateway}}
	all[0].Name = "streams"
	for _, to := range m.targets {
		g := m.gateway
		if to.Name == "sshd" {
			g = nil
		}
		all = append(all, remote{to.Target, m.Container.Name, g})
	}
	return all
}

// install brings the server, as Remote-SSH does where the host cannot get it.
func (h remote) install(t *testing.T, archive string) {
	t.Helper()
	h.Want(t, `scp -q "$ARCHIVE" h:server.tar.gz && ssh h 'mkdir `+h.server()+` && tar xzf server.tar.gz -C `+h.server()+` && rm server.tar.gz'`,
		"", "ARCHIVE="+archive)
}

// server is the directory of the server, below the home directory.
func (h remote) server() string { return "vscode-server-" + h.Name }

func (h remote) editor(t *testing.T, listen string) editor {
	t.Helper()
	return newEditor(t, "testdata/ide_vscode.sh", "Extension host agent listening on ", "SERVER", h.server(), "LISTEN", listen)
}

// byProxy is what Remote-SSH does by default.
func (h remote) byProxy(t *testing.T) {
	e, proxy := h.editor(t, "--host=127.0.0.1 --port=0"), harness.FreeAddress(t)
	first := e.openWindowAt(t, h.Target, proxy, "-o ConnectTimeout=15 h bash")
	w := h.openWorkbench(t, "http://127.0.0.1:"+first.server.where, "PROXY=socks5://"+proxy)
	h.use(t, w, connection{
		client: first.client,
		again: func() *harness.Client {
			next := e.openWindowAt(t, h.Target, proxy, "-o ConnectTimeout=15 h bash")
			if next.server != first.server {
				t.Errorf("a second connection finds %+v, not %+v", next.server, first.server)
			}
			return next.client
		},
		reach: func(port string) string { return "127.0.0.1:" + port },
	})
}

// bySocket is what it does with remote.SSH.remoteServerListenOnSocket.
func (h remote) bySocket(t *testing.T) {
	socket, near := h.FarSocket(t), harness.FreeAddress(t)
	h.editor(t, "--socket-path="+socket).openWindow(t, h.Target, "h bash")
	forward := func() *harness.Client { return h.Forward(t, "-L", near+":"+socket) }
	first := forward()
	w := h.openWorkbench(t, "http://"+near)
	h.use(t, w, connection{
		client: first,
		again:  forward,
		reach: func(port string) string {
			address := harness.FreeAddress(t)
			h.Forward(t, "-L", address+":127.0.0.1:"+port)
			return address
		},
	})
}

// connection is how a workbench reaches its host.
type connection struct {
	client *harness.Client
	again  func() *harness.Client   // after the client has ended
	reach  func(port string) string // the address here of one there
}

// use does what people do: edit and save, run things in a terminal, look at a
// program's page, lose the connection and find all as it was.
func (h remote) use(t *testing.T, w workbench, c connection) {
	folder := h.makeFolder(t)
	w.want(t, "open "+folder, "open")
	w.want(t, "append , and more", "saved")
	const edited = "hello, and more"
	if got := harness.Must(t, exec.Command("docker", "exec", h.container, "cat", folder+"/hello.txt")); got != edited {
		t.Errorf("in the container the file is %q, not %q", got, edited)
	}

	w.want(t, "terminal", "a prompt")
	w.want(t, "type kept=$$; echo shell=$kept=", "typed")
	shell := w.say(t, `shown shell=(\d+)=`)
	w.want(t, "type python3 -um http.server --bind 127.0.0.1 0 &", "typed")
	port := w.say(t, `shown port (\d+) \(`)
	w.want(t, "visit http://"+c.reach(port)+"/hello.txt", `"`+edited+`"`)

	same := func() {
		t.Helper()
		w.want(t, "back", "back")
		w.want(t, "shown shell=("+shell+")=", shell) // what was there is there
		w.want(t, "type clear; echo again=$kept=$$=", "typed")
		w.want(t, "shown again="+shell+"=("+shell+")=", shell)
		w.want(t, "type echo shell=$kept=", "typed")
	}
	c.client.Kill()
	c.client.Wait(t)
	w.want(t, "lost", "lost")
	c.client = c.again()
	same()
	if h.gateway != nil {
		harness.Must(t, h.gateway.Verb("kick", "dev"))
		c.client.Wait(t)
		w.want(t, "lost", "lost")
		c.client = c.again()
		same()
	}
	w.want(t, "reload", "reloaded")
	same()
	w.want(t, "screenshot", "taken")
}

// makeFolder makes a folder with a file. The settings have the terminal be text in
// the page, once, and files be saved only when it is asked for; and a window that is
// loaded anew does not start a terminal's shell again for what extensions set in it.
func (h remote) makeFolder(t *testing.T) string {
	t.Helper()
	folder := "/tmp/" + harness.Mark()
	settings := `{
		"terminal.integrated.gpuAcceleration": "off", "terminal.integrated.stickyScroll.enabled": false,
		"terminal.integrated.environmentChangesRelaunch": false, "files.autoSave": "off", "workbench.startupEditor": "none", "chat.disableAIFeatures": true
	}`
	h.Want(t, `ssh h "mkdir -p $FOLDER/.vscode && cat >$FOLDER/.vscode/settings.json && printf hello >$FOLDER/hello.txt" <<<"$SETTINGS"`,
		"", "FOLDER="+folder, "SETTINGS="+settings)
	return folder
}

// workbench is VS Code in a browser (testdata/vscode.js).
type workbench struct{ browser *harness.Client }

func (h remote) openWorkbench(t *testing.T, url string, env ...string) workbench {
	t.Helper()
	program, err := filepath.Abs("testdata/vscode.js")
	if err != nil {
		t.Fatal(err)
	}
	env = append(env, "URL="+url, "NODE_PATH="+os.Getenv("NODE_PATH"), "SCREENSHOT="+filepath.Join(t.ArtifactDir(), "workbench.png"))
	return workbench{h.Start(t, "exec node "+program+" 2>&1", env...)}
}

// say tells the workbench what to do, and returns what it answers.
func (w workbench) say(t *testing.T, line string) string {
	t.Helper()
	w.browser.Stdin.Write([]byte(line + "\n"))
	return w.browser.ReadLine(t)
}

func (w workbench) want(t *testing.T, line, answer string) {
	t.Helper()
	if got := w.say(t, line); got != answer {
		t.Fatalf("%s: %s, not %s", line, got, answer)
	}
}
