package clients

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// auths are the ways to log in.
var auths = []string{"password", "ed25519", "rsa", "ecdsa"}

// TestClients logs in with clients that others wrote, in every way they know,
// and has each do all that it can (testdata). Its cells are named
// client/auth/what/target.
func TestClients(t *testing.T) {
	ground := startMatrix(t)
	table := &matrixTable{}
	t.Cleanup(func() { table.log(t) })
	for _, c := range chosenClients() {
		table.addClient(c, c.version(t))
		for _, cell := range append(c.cells(ground.targets), ground.codeCells(t, c)...) {
			t.Run(cell.String(), func(t *testing.T) {
				t.Parallel()
				defer func() { table.add(cell, t.Failed()) }()
				ground.try(t, cell)
			})
		}
	}
}

func chosenClients() []matrixClient {
	chosen := os.Getenv(harness.EnvClients)
	return slices.DeleteFunc(matrixClients(), func(c matrixClient) bool {
		switch chosen {
		case "all":
			return false
		case "":
			return !c.usual
		default:
			return !slices.Contains(strings.Split(chosen, ","), c.name)
		}
	})
}

// matrixCell is one thing to try.
type matrixCell struct {
	client matrixClient
	auth   string
	what   string
	target matrixTarget
	code   string // of an authenticator, by which it logs in besides; "": none
}

func (c matrixCell) String() string {
	return strings.Join([]string{c.client.name, c.auth, c.what, c.target.Name}, "/")
}

// cells are all that the client can do, at every target.
func (c matrixClient) cells(targets []matrixTarget) []matrixCell {
	var cells []matrixCell
	for _, auth := range auths {
		for _, what := range c.does {
			for _, target := range targets {
				if c.cannot[auth] == "" {
					cells = append(cells, matrixCell{client: c, auth: auth, what: what, target: target})
				}
			}
		}
	}
	return cells
}

// codeCells has a client log in by a key and a code, each of which is right once, through
// either door of the gateway.
func (m matrix) codeCells(t *testing.T, c matrixClient) []matrixCell {
	if !c.codes {
		return nil
	}
	user := codeUser(c)
	_, codes := m.gateway.Enroll(t, user)
	var cells []matrixCell
	for i, target := range m.targets[:2] {
		target.Login = strings.Replace(target.Login, "dev+", user+"+", 1)
		cells = append(cells, matrixCell{client: c, auth: "code", what: c.does[0], target: target, code: codes[i]})
	}
	return cells
}

// codeUser is who a client logs in as by a key and a code.
func codeUser(c matrixClient) string { return "code-" + c.name }

// try has the client do what the cell says, in a directory of its own.
func (m matrix) try(t *testing.T, cell matrixCell) {
	dir := t.TempDir()
	env := append(m.env(cell), "HOME="+dir, "FAR=/tmp/"+strings.ReplaceAll(cell.String(), "/", "-"))
	script := cell.client.script(t, cell.what)
	if cell.what == "forward" {
		m.tryForward(t, cell.target.Target, script, env)
		return
	}
	up := make([]byte, 300_000)
	rand.Read(up)
	harness.Write(t, filepath.Join(dir, "up"), 0o600, string(up))
	got := cell.target.RunIn(t, dir, script, env...)
	switch cell.what {
	case "exec":
		wantExec(t, got)
	case "shell":
		wantShell(t, got)
	case "sftp", "scp", "play", "pipelined", "edit", "backup":
		wantDown(t, got, filepath.Join(dir, "down"), up)
	default:
		wantSuccess(t, got)
	}
}

// execCommand and typed tell, by their ends, that all of them was run.
const (
	execCommand = "cat; echo err >&2; exit 7"
	execInput   = "in and\nout\n"
	typed       = `[ -t 0 ] && echo $((6*7)) is it; exit 5`
)

func wantExec(t *testing.T, got harness.Result) {
	t.Helper()
	if got.Stdout != execInput || !strings.Contains(got.Stderr, "err\n") || got.Exit != 7 {
		t.Errorf("got %+v, want stdout %q, err on stderr, and exit 7", got, execInput)
	}
}

func wantShell(t *testing.T, got harness.Result) {
	t.Helper()
	if !strings.Contains(got.Stdout, "42 is it\r\n") || got.Exit != 5 {
		t.Errorf("got %+v, want 42 on a terminal, and exit 5", got)
	}
}

func wantSuccess(t *testing.T, got harness.Result) {
	t.Helper()
	if got.Exit != 0 {
		t.Errorf("got %+v, want exit 0", got)
	}
}

func wantDown(t *testing.T, got harness.Result, file string, up []byte) {
	t.Helper()
	wantSuccess(t, got)
	if down, err := os.ReadFile(file); err != nil || !bytes.Equal(down, up) {
		t.Errorf("%d bytes went up, %d came down: %v", len(up), len(down), err)
	}
}

func (m matrix) tryForward(t *testing.T, to harness.Target, script string, env []string) {
	port := harness.FreePort(t)
	client := to.Start(t, script, append(env, "NEAR_PORT="+port, "FAR_PORT="+m.echoPort)...)
	harness.Eventually(t, "the forward", func() bool { return harness.Answers("127.0.0.1:"+port) || harness.IsClosed(client.Ended) })
	for range 3 {
		harness.WantEcho(t, "tcp", "127.0.0.1:"+port)
	}
}

// env is what a client's program gets (testdata/README.md).
func (m matrix) env(cell matrixCell) []string {
	env := []string{
		"HOST=" + cell.target.host, "PORT=" + cell.target.port, "LOGIN=" + cell.target.Login,
		"KNOWN_HOSTS=" + cell.target.KnownHosts, "OTHER_KNOWN_HOSTS=" + cell.target.otherKeys, "FINGERPRINT=" + cell.target.fingerprint,
		"COMMAND=" + execCommand, "TYPED=" + typed, "NODE_PATH=" + os.Getenv("NODE_PATH"),
		"FILES=" + cell.amount(1000, 100_000), "MODULES=" + cell.amount(2, 200),
		"MEGABYTES=" + cell.amount(10, 100), "PIECES=" + cell.amount(300, 3000),
	}
	if cell.auth == "password" {
		return append(env, "PASSWORD="+matrixPassword)
	}
	if cell.code != "" {
		return append(env, "KEY="+m.keys["ecdsa"], "CODE="+cell.code)
	}
	return append(env, "KEY="+m.keys[cell.auth])
}

// amount is how much of something is tried: in make clients all of it, by one
// key.
func (c matrixCell) amount(usually, all int) string {
	if harness.EveryClient() && c.auth == "ed25519" {
		return fmt.Sprint(all)
	}
	return fmt.Sprint(usually)
}
