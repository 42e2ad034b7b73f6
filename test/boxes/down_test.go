package boxes

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// vanishes cuts a wire. A box whose wire is cut harms no other: hosts elsewhere are entered as before, its own
// say so, and what runs in them ends with the reason. When it is back, they are entered
// again. make soak cuts the wire for a minute.
func vanishes(t *testing.T, l *lab) {
	master, worker := l.at(t, "dev+master"), l.at(t, "dev+worker")
	l.want(t, "dev+master", "a100\n")
	before := master.Logins(t)
	said := filepath.Join(t.TempDir(), "said")
	session := worker.Start(t, `exec ssh h cat 2>`+said)
	session.WantLine(t, "hello")
	cut := time.Now()
	l.b.Cut(t)
	during := master.Logins(t)
	exit := session.Wait(t)
	t.Logf("the session on the box ends after %.1f s", time.Since(cut).Seconds())
	want := `berth: host "worker" has gone away: it cannot be entered: box h200 does not answer`
	if got := harness.Read(t, said); exit != 255 || !strings.Contains(got, want) {
		t.Errorf("the session ends with %d, %q; want %q", exit, got, want)
	}
	for harness.Soaking() && time.Since(cut) < time.Minute {
		during = append(during, master.Logins(t)...)
	}
	began := time.Now()
	l.wantRefused(t, "of-h200+worker", "box h200 does not answer since ")
	t.Logf("a login to the box is refused after %.1f s", time.Since(began).Seconds())
	t.Logf("logins elsewhere before: %v; while the box is away: %v", before, during)
	l.b.Mend(t)
	harness.Eventually(t, "the box is entered again", func() bool { return worker.Run(t, `ssh h 'cat /box'`).Stdout == "h200\n" })
	l.want(t, "dev+master", "a100\n")
}

// startsWithout starts a gateway without a box, which is down, and check has what ssh says of it. The
// attack: another machine answers in its place, with another host key. It is not believed.
func startsWithout(t *testing.T, boxes *lab) {
	boxes.b.StopSSHD()
	l := boxes.withGateway(t)
	l.want(t, "dev+master", "a100\n")
	l.wantRefused(t, "dev+worker", "does not exist on the boxes that answer; box h200 does not answer since ")
	l.wantRefused(t, "of-h200+worker.h200", "cannot be looked up: box h200 does not answer since ")
	l.wantInCheck(t, "box h200 does not answer: ssh h200: ssh: connect to host")
	l.b.StartSSHD(t, harness.MakeKey(t, t.TempDir(), "other_key"))
	l.wantInCheck(t, "box h200 does not answer: ssh h200: Host key verification failed.")
	l.b.StopSSHD()
	boxes.b.StartSSHD(t, "")
}

func (l *lab) wantInCheck(t *testing.T, want string) {
	t.Helper()
	check := exec.Command(harness.Program("gateway"), "check", "--config", filepath.Join(l.Dir, "gateway.yaml"))
	check.Env = append(check.Environ(), engine.Path(l.ssh))
	if out, err := check.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("check: %v, want %q in\n%s", err, want, out)
	}
}

// engineComesBack kills the engine of a box, which comes back while its sshd is there all the time.
func engineComesBack(t *testing.T, l *lab) {
	master := l.at(t, "dev+master")
	l.want(t, "dev+master", "a100\n")
	l.a.Kill()
	harness.Eventually(t, "the host is refused", func() bool {
		got := master.Run(t, `ssh h true`)
		return got.Exit == 255 && strings.Contains(got.Stderr, "box a100 does not answer")
	})
	l.a.Restart(t)
	harness.Eventually(t, "the host is entered again", func() bool { return master.Run(t, `ssh h 'cat /box'`).Stdout == "a100\n" })
}
