package life

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestKilled kills clients at random points. What they had in the container
// must be gone as it would be with an sshd, and no zombie must be there, though
// the container's first process reaps none.
func TestKilled(t *testing.T) {
	harness.Need(t, "ssh", "sftp", "ssh-agent")
	l := harness.StartLab(t, harness.Place{Mounted: true})
	killed(t, l.Door, l.Container)
}

func killed(t *testing.T, to harness.Target, container string) {
	to.Want(t, "ssh h true", "")
	m := harness.Mark()
	for range harness.Load(1, 7) { // of 160 clients
		to.Script(t, "testdata/killed.txtar", "MARK="+m)
	}
	harness.AwaitNoneMarked(t, m)
	left := regexp.MustCompile(`defunct|sftp-server|` + regexp.QuoteMeta(m))
	harness.Eventually(t, "everything of the clients to be gone", func() bool { return !left.MatchString(harness.ProcessesIn(t, container)) })
	if len(harness.HelpersIn(t, container)) != 1 {
		t.Errorf("want one helper:\n%s", harness.ProcessesIn(t, container))
	}
	files := func() string {
		return harness.Must(t, exec.Command("docker", "exec", container, "sh", "-c", "ls -d /tmp/* 2>/dev/null || :"))
	}
	harness.Eventually(t, "agents' and forwards' sockets to be gone", func() bool { return !strings.Contains(files(), "ssh-") && !strings.Contains(files(), m) })
}
