package boxes

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// lab is a gateway before two boxes.
type lab struct {
	*harness.Gateway
	a, b *engine.Box
	key  string
	to   map[string]harness.Target // by login
	ssh  string                    // directory of the command that the gateway reaches the boxes by
	tmp  string                    // the gateway's TMPDIR
}

// startLab starts both boxes, with the hosts that they have.
func startLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{a: engine.NewBox(t, "a100", harness.BaseImage(t)), b: engine.NewBox(t, "h200", harness.BaseImage(t))}
	l.ssh = engine.SSH(t, l.a, l.b)
	for host, boxes := range map[string][]*engine.Box{"master": {l.a}, "worker": {l.b}, "both": {l.a, l.b}} {
		for _, b := range boxes {
			name := b.Run(t, host, "--restart", "always")
			harness.Must(t, b.Docker("exec", name, "sh", "-c", "echo "+b.Name+" >/box"))
		}
	}
	return l
}

// withGateway is the lab with a gateway of this test.
func (l *lab) withGateway(t *testing.T) *lab {
	t.Helper()
	l = &lab{a: l.a, b: l.b, ssh: l.ssh, to: map[string]harness.Target{}, tmp: t.TempDir()}
	dir := harness.OpenDir(t)
	l.key = harness.MakeKey(t, dir, "id")
	l.Gateway = harness.StartGatewayBy(t, dir, fmt.Sprintf(`
docker: none
boxes:
  a100: { docker: %s }
  h200: { docker: %s }
users:
  dev:
    keys: [ %[3]s ]
    hosts: { master: root, worker: root, both: root, both.h200: root }
  of-a100:
    keys: [ %[3]s ]
    hosts: { "*.a100": root }
  of-h200:
    keys: [ %[3]s ]
    hosts: { "box:h200": root }
`, l.a.URL, l.b.URL, harness.PublicKey(t, l.key)), harness.WithEnv(engine.Path(l.ssh), "TMPDIR="+l.tmp))
	return l
}

// at is a door to a host.
func (l *lab) at(t *testing.T, login string) harness.Target {
	t.Helper()
	if _, made := l.to[login]; !made {
		l.to[login] = l.Target(t, login, login, l.key)
	}
	return l.to[login]
}

func (l *lab) want(t *testing.T, login, stdout string) {
	t.Helper()
	if got := l.at(t, login).Run(t, `ssh h 'cat /box'`); got.Stdout != stdout || got.Exit != 0 {
		t.Errorf("%s: exit %d, %q, %s", login, got.Exit, got.Stdout, got.Stderr)
	}
}

func (l *lab) wantRefused(t *testing.T, login, why string) {
	t.Helper()
	if got := l.at(t, login).Run(t, `ssh h 'cat /box'`); got.Exit != 255 || !strings.Contains(got.Stderr, why) {
		t.Errorf("%s: exit %d, %q; want %q", login, got.Exit, got.Stderr, why)
	}
}

// TestBoxes asks for all that two boxes behind one gateway promise. They are started once.
func TestBoxes(t *testing.T) {
	boxes := startLab(t)
	t.Run("names", func(t *testing.T) { names(t, boxes.withGateway(t)) })
	t.Run("a_box_that_vanishes_harms_no_other", func(t *testing.T) { vanishes(t, boxes.withGateway(t)) })
	t.Run("a_gateway_starts_without_a_box", func(t *testing.T) { startsWithout(t, boxes) })
	t.Run("a_box's_engine_comes_back", func(t *testing.T) { engineComesBack(t, boxes.withGateway(t)) })
}

func names(t *testing.T, l *lab) {
	t.Run("a_name_is_one_host_over_all_boxes", func(t *testing.T) {
		l.want(t, "dev+master", "a100\n")
		l.want(t, "dev+worker", "h200\n")
		l.want(t, "dev+master.a100", "a100\n")
		l.wantRefused(t, "dev+both", "is on several boxes: log in to both.a100 or both.h200")
		l.want(t, "dev+both.h200", "h200\n")
		l.wantRefused(t, "dev+both.a100", `host "both.a100" is not granted to dev`)
	})
	t.Run("grants_by_the_box", func(t *testing.T) {
		l.want(t, "of-a100+master", "a100\n")
		l.want(t, "of-a100+both.a100", "a100\n")
		l.wantRefused(t, "of-a100+worker", "is not granted to of-a100")
		l.want(t, "of-h200+worker", "h200\n")
		l.wantRefused(t, "of-h200+master", "is not granted to of-h200")
	})
	t.Run("one_connection_for_all", func(t *testing.T) {
		for _, b := range []*engine.Box{l.a, l.b} {
			if pids := l.sshTo(t, b); len(pids) != 1 {
				t.Errorf("%d ssh processes lead to %s, want one", len(pids), b.Name)
			}
		}
	})
	t.Run("a_gateway_that_is_killed_leaves_no_file_of_them", func(t *testing.T) {
		if left, err := filepath.Glob(filepath.Join(l.tmp, "berth-*")); err != nil || len(left) > 0 {
			t.Errorf("%v, %v", left, err)
		}
	})
}

// sshTo are the ssh processes of this lab that lead to a box.
func (l *lab) sshTo(t *testing.T, b *engine.Box) []string {
	t.Helper()
	out := harness.Must(t, exec.Command("pgrep", "-f", "^/.*ssh -F "+l.ssh+"/config .* -- "+b.Name+"$"))
	return strings.Fields(out)
}
