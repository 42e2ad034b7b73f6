package foreign

import (
	"os"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// suite is a suite of tests that others wrote.
type suite struct {
	name string
	keys func(*testing.T) keys // those that its server and its users have
	// start makes what the suite needs, in a directory that every door sees,
	// and returns what runs it at a door.
	start func(t *testing.T, dir string) func(*testing.T, door) results
}

// results are what became of tests, by their names: passed, failed or skipped.
type results map[string]string

const (
	passed  = "passed"
	failed  = "failed"
	skipped = "skipped"
)

// TestSuites runs every suite at every door, and compares with the bare sshd.
// BERTH_FOREIGN names the suites and doors to run, if not all of them, such as
// "sftp,rclone,exec"; the bare sshd is always one. "built-in" names TestBuiltIn.
func TestSuites(t *testing.T) {
	if !harness.Soaking() {
		t.Skip("only in make soak and scripts/foreign, which set " + harness.EnvSoak)
	}
	harness.NeedRoot(t) // who can bring the same files to every door
	listed := readListed(t, "../../docs/clients.md")
	table := &table{listed: listed}
	t.Cleanup(func() { table.log(t) })
	for _, s := range []suite{openssh(), crypto(), sftp(), rclone()} {
		if !isChosen(s.name, suiteNames...) {
			continue
		}
		t.Run(s.name, func(t *testing.T) { s.compare(t, table) })
	}
}

// suiteNames are also what BERTH_FOREIGN may name of what is run.
var suiteNames = []string{"openssh", "crypto", "sftp", "rclone", builtIn}

func (s suite) compare(t *testing.T, table *table) {
	ground := startGround(t, s.keys(t))
	run := s.start(t, ground.dir)
	bare := run(t, ground.bare)
	table.add(row{suite: s.name, door: ground.bare.name, got: bare, bare: bare})
	for _, at := range ground.doors {
		if isChosen(at.name, doorNames...) {
			t.Run(at.name, func(t *testing.T) { table.judge(t, row{suite: s.name, door: at.name, got: run(t, at), bare: bare}) })
		}
	}
}

// isChosen reports whether a name is in BERTH_FOREIGN, or none of its kind is.
func isChosen(name string, kind ...string) bool {
	chosen := map[string]bool{}
	for _, name := range strings.Split(os.Getenv("BERTH_FOREIGN"), ",") {
		chosen[name] = true
	}
	for _, other := range kind {
		if chosen[other] {
			return chosen[name]
		}
	}
	return true
}
