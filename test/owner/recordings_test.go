package owner

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// recordingsOf are the files that a gateway has.
func recordingsOf(t *testing.T, g *harness.Gateway) (files []string) {
	t.Helper()
	for _, word := range strings.Fields(must(t, g, "replay")) {
		if strings.HasSuffix(word, ".cast.gz") {
			files = append(files, word)
		}
	}
	return files
}

// The gateway that comes after an upgrade removes recordings that are too much, and none
// that the former one still makes.
func TestAnUpgradeKeepsWhatIsBeingRecorded(t *testing.T) {
	m := harness.StartMachine(t, "record: { dir: "+filepath.Join(t.TempDir(), "recordings")+", hosts: [ '*' ], max_size: 1KiB }")
	const much = "head -c 5000 /dev/urandom | base64"
	still := m.Local.Start(t, "exec ssh -tt h '"+much+"; echo in; exec cat' 2>&1")
	for still.ReadLine(t) != "in\r" {
	}
	m.Relay.Run(t, "ssh -tt h '"+much+"'")
	harness.Eventually(t, "both are recorded", func() bool { return len(recordingsOf(t, m.Gateway)) == 2 })
	upgrade(t, m.Gateway)
	harness.Eventually(t, "the one that is over is removed", func() bool { return len(recordingsOf(t, m.Gateway)) == 1 })
	io.WriteString(still.Stdin, "to the end\n")
	if line := still.ReadLine(t); line != "to the end\r" {
		t.Errorf("the terminal shows %q", line)
	}
	still.Kill()
	harness.Eventually(t, "what was still made is whole", func() bool {
		files := recordingsOf(t, m.Gateway)
		return len(files) == 1 && strings.Contains(must(t, m.Gateway, "replay", "--speed", "100", files[0]), "to the end") &&
			exec.Command("gzip", "-t", files[0]).Run() == nil
	})
}
