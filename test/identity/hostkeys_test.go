package identity

import (
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// rotate runs keys rotate of a key, while the gateway runs.
func (l *lab) rotate(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"keys", "rotate", "--config", filepath.Join(l.dir, "gateway.yaml")}, args...)
	harness.Must(t, exec.Command(harness.Program("gateway"), args...))
}

// knows reports whether a file of known hosts has these keys and no others.
func knows(t *testing.T, file string, keys []string) bool {
	t.Helper()
	text := harness.Read(t, file)
	isMissing := func(key string) bool { return !strings.Contains(text, key+"\n") }
	return strings.Count(text, "\n") == len(keys) && !slices.ContainsFunc(keys, isMissing)
}

// hostKeys are the gateway's, of each kind; with .next, those that are to follow.
func (l *lab) hostKeys(t *testing.T, suffix string) (all []string) {
	t.Helper()
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		all = append(all, harness.PublicKey(t, filepath.Join(harness.StateOf(l.dir), "ssh_host_"+kind+"_key"+suffix)))
	}
	return all
}

// ssh notes the next host keys by itself, at a login in the weeks before they are shown,
// by either mechanism: then nobody is warned. Who did not log in meanwhile is.
func TestTheHostKeyIsRotatedUnnoticed(t *testing.T) {
	l := startLab(t)
	l.guest(t, "keys: ['"+harness.PublicKey(t, l.key)+"']")
	host, port, _ := net.SplitHostPort(l.Gateway.Address)
	harness.Must(t, exec.Command("ssh-keyscan", "-t", "ecdsa,rsa", "-T", "60", "-p", port, host)) // these are made then
	old := l.hostKeys(t, "")
	away := filepath.Join(l.dir, "away")
	harness.Write(t, away, 0o600, harness.Read(t, l.Gateway.KnownHosts()))
	l.rotate(t, "host-key")
	next := l.hostKeys(t, ".next")
	doors := l.doors(t, l.key)
	known := make([]string, len(doors))
	for i := range doors {
		known[i] = filepath.Join(t.TempDir(), "known_hosts")
		harness.Write(t, known[i], 0o600, harness.Read(t, l.Gateway.KnownHosts()))
		doors[i] = doors[i].With(t, t.TempDir(), "updates", "UpdateHostKeys yes", "UserKnownHostsFile "+known[i])
		harness.Eventually(t, "ssh has noted the next keys", func() bool { // a login may be over before they are proved
			doors[i].Want(t, "ssh h echo in", "in\n")
			return knows(t, known[i], slices.Concat(old, next))
		})
	}
	l.rotate(t, "host-key", "--finish")
	for i := range doors {
		harness.Eventually(t, "ssh has forgotten the old keys", func() bool {
			doors[i].Want(t, "ssh h echo in", "in\n")
			return knows(t, known[i], next)
		})
	}
	was := l.Gateway.Door("guest+box", l.key)
	was.KnownHosts = away
	got := harness.NewTarget(t, t.TempDir(), "away", was).Run(t, "ssh h echo in")
	if got.Exit != 255 || !strings.Contains(got.Stderr, "REMOTE HOST IDENTIFICATION HAS CHANGED") {
		t.Errorf("who was away is not warned: %+v", got)
	}
}
