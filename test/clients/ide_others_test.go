package clients

import (
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// jetbrains does what IntelliJ's SSH client does (testdata/jetbrains.py).
func (m matrix) jetbrains(t *testing.T, to matrixTarget) {
	m.wantIDE(t, to, python("jetbrains.py"),
		"backend uploaded\n200 sessions on 4 connections\nport forwarded back\nworker written, and output after its end\n")
}

// openRemote does what open-remote-ssh and older Cursors do with npm's ssh2
// (testdata/open_remote.js).
func (m matrix) openRemote(t *testing.T, to matrixTarget) {
	onlyWithAll(t)
	harness.Need(t, "node", "ssh-agent", "ssh-add")
	own := harness.Mark()
	m.wantIDE(t, to, []string{"node", "testdata/open_remote.js"},
		"none is refused\nLinux\nserver started\n8 connections by port\n8 connections by socket\nagent answers\nstill open\n",
		"MARK="+own, "ECHO="+harness.ServerProgram("echo.py"))
	harness.AwaitNoneMarked(t, own)
}

func (m matrix) wantIDE(t *testing.T, to matrixTarget, program []string, want string, more ...string) {
	t.Helper()
	file, err := filepath.Abs(program[1])
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := append(m.env(matrixCell{auth: "ed25519", target: to}), "HOME="+dir, "FAR=/tmp/"+harness.Mark())
	to.Want(t, "exec "+program[0]+" "+file, want, append(env, more...)...)
}
