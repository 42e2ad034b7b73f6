package owner

import (
	"io"
	"os"
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
	still := m.Local.Start(t, "exec ssh -tt h '"+much+"; echo in; exec cat' 2>/dev/null")
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

// The attack: one session shows so much that its recording fills the disk.
func TestAttackByASessionWhoseRecordingIsTooLarge(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recordings")
	m := harness.StartMachine(t, "record: { dir: "+dir+", hosts: [ '*' ], max_size: 2MiB }")
	got := m.Local.Run(t, "ssh -tt h 'head -c 20000000 /dev/urandom | base64; echo to the end'")
	if strings.Contains(got.Stdout, "to the end") || !strings.Contains(got.Stdout+got.Stderr, "is to be recorded, and that is not possible now") {
		t.Errorf("exit %d, %.100q", got.Exit, got.Stderr)
	}
	if told := m.Gateway.AwaitRecord(t, "recording not written"); !strings.Contains(told["err"], "record.max_size") {
		t.Errorf("the log tells %v", told)
	}
	for _, file := range recordingsOf(t, m.Gateway) {
		if info, err := os.Stat(file); err != nil || info.Size() > 3<<20 {
			t.Errorf("%v: %+v", err, info)
		}
	}
	if got := m.Local.Run(t, "ssh -tt h 'echo next'"); got.Stdout != "next\r\n" {
		t.Errorf("the next session: %+v", got)
	}
}

// Where the disk is full, nobody goes on unrecorded, unless the owner says so; who is
// refused is told, and the log tells of each session.
func TestTheDiskOfTheRecordingsIsFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	for what, goesOn := range map[string]bool{"refuse": false, "go_on": true} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			small := func(program string, args ...string) *exec.Cmd {
				const script = `mount -t tmpfs -o size=64k,mode=700 small "$0" && exec "$@"`
				return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, dir, program}, args...)...)
			}
			m := harness.StartMachineBy(t, small, "record: { dir: "+dir+", hosts: [ '*' ], on_failure: "+what+" }")
			const much = "head -c 300000 /dev/urandom | base64; echo to the end"
			for i, command := range []string{much, "echo to the end"} {
				got := m.Local.Run(t, "ssh -tt h '"+command+"'")
				if strings.Contains(got.Stdout, "to the end") != goesOn || strings.Contains(got.Stdout+got.Stderr, "is to be recorded, and that is not possible now") == goesOn {
					t.Errorf("session %d: exit %d, %.100q", i, got.Exit, got.Stderr)
				}
			}
			m.Gateway.AwaitRecord(t, "recording not written")
			if told := m.Gateway.AwaitRecord(t, "session not recorded"); told["conn"] == "" || !strings.Contains(told["err"], "no space left") {
				t.Errorf("the log tells %v", told)
			}
		})
	}
}
