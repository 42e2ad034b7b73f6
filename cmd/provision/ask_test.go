package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// On a terminal, import asks for people's names, again where one will not do, and
// whether the file of old may be renamed.
func TestImportAsksForNames(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "compose.yaml")
	seed := strings.ReplaceAll(harness.Read(t, "testdata/seed/docker-compose.yml"), "gasherbroom", "brodpik") // one person on both
	harness.Write(t, old, 0o644, seed)
	harness.Write(t, filepath.Join(dir, "Dockerfile"), 0o644, harness.Read(t, "testdata/seed/Dockerfile"))
	program := exec.CommandContext(t.Context(), os.Args[0], "import", "-f", old)
	program.Env = append(os.Environ(), asProvision+"=1")
	screen := harness.StartOnTerminal(t, program)
	for _, c := range []struct{ asked, answer string }{
		{"Who has the password of developer on master, worker? [developer] ", "anna\r"},
		{"Who has the password of root on master? [root-master] ", "anna\r"},
		{"that is another user's name already", ""},
		{"Who has the password of root on master? [root-master] ", "no name\r"},
		{`"no name" is not a name`, ""},
		{"Who has the password of root on master? [root-master] ", "ben\r"},
		{"Who has the password of root on worker? [root-worker] ", "\r"},
		{"Rename compose.yaml to compose.old.yaml, so that the new one is found without -f? [y/N]", "y\r"},
	} {
		screen.AwaitNext(t, c.asked)
		screen.TypeIn(t, c.answer)
	}
	screen.WantExit(t, 0)
	for _, want := range []string{"ssh -p 2222 anna+master@box", "ssh -p 2222 anna+worker@box", "ssh -p 2222 ben@box", "ssh -p 2222 root-worker@box"} {
		if !strings.Contains(screen.Text(), want) {
			t.Errorf("no %q on the screen:\n%s", want, screen.Text())
		}
	}
	users := harness.Read(t, filepath.Join(dir, "gateway.yaml"))
	for _, want := range []string{"\n  anna:", "\n  ben:", "\n  root-worker:"} {
		if !strings.Contains(users, want) {
			t.Errorf("no %q in\n%s", want, users)
		}
	}
	if harness.Read(t, filepath.Join(dir, "compose.old.yaml")) != seed || strings.Contains(harness.Read(t, old), "brodpik") {
		t.Error("the file of old is not the old one, or the new one has a password")
	}
}
