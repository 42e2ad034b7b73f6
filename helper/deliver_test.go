package helper

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

func TestAHelperIsWrittenAndRemoved(t *testing.T) {
	command := WriteCommand(5, false)
	write := exec.Command(command[0], command[1:]...)
	write.Stdin = strings.NewReader("hello")
	out, err := write.Output()
	if err != nil {
		t.Fatal(err)
	}
	written := ReadWritten(strings.NewReader(string(out)))
	if written == "" {
		t.Fatalf("%q is no path", out)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(written)) })
	if got := harness.Read(t, written); got != "hello" {
		t.Errorf("%s has %q", written, got)
	}
	remove := RemoveCommand(written)
	if err := exec.Command(remove[0], remove[1:]...).Run(); err != nil || harness.Exists(filepath.Dir(written)) {
		t.Errorf("%q left it there: %v", remove, err)
	}
}

// The attack: a container says that the helper is elsewhere, so that something else of its
// accounts' is removed.
func TestAttackOnWhatIsRemoved(t *testing.T) {
	for _, printed := range []string{"/etc/passwd", "/home/dev/bin/helper", "/run/.berth-x/../../home/dev/helper", "/", "/helper"} {
		if command := RemoveCommand(ReadWritten(strings.NewReader(printed + "\n"))); command != nil {
			t.Errorf("%s: %q", printed, command)
		}
	}
	for _, printed := range []string{"", "helper", "/" + strings.Repeat("x", maxPath) + "\n/run/.berth-x/helper"} {
		if written := ReadWritten(strings.NewReader(printed)); strings.Contains(written, "helper") {
			t.Errorf("%.40q is taken for a path: %.40q", printed, written)
		}
	}
}
