package life

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// brief is a gateway, and containers on it that end.
type brief struct {
	*harness.Gateway
	key string
}

// run starts a container that is a host, and returns the door to it; for one that the
// engine does not start, too.
func (b brief) run(t *testing.T, name string, args ...string) (harness.Target, string) {
	t.Helper()
	host := harness.HostName(name)
	command := exec.Command("docker", append([]string{"run", "-d", "--name", host, "--label", "berth.host=" + host}, args...)...)
	t.Cleanup(func() { harness.Must(t, exec.Command("docker", "rm", "-f", host)) })
	if out, err := command.CombinedOutput(); err != nil && !strings.Contains(string(out), "no such file") {
		t.Fatalf("%v\n%s", err, out)
	}
	return b.Target(t, host, "dev+"+host, b.key), host
}

// Who finds a host ended is told why, and who was on one that runs again, once.
func TestPeopleAreToldWhyAHostEnded(t *testing.T) {
	harness.Need(t, "ssh", "docker")
	base, dir := harness.BaseImage(t), harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	b := brief{harness.StartGateway(t, dir, fmt.Sprintf("wait: 1s\nusers:\n  dev: { keys: [ %s ], hosts: { %q: root } }\n",
		harness.PublicKey(t, key), harness.HostName("*"))), key}
	for name, c := range map[string]struct {
		args []string
		end  func(container string) // nil: it ends by itself
		want string
	}{
		"failed":      {[]string{base, "sh", "-c", `printf 'first\nno \033[31msuch file\n' >&2; exit 3`}, nil, `\(exited.*\): its command ended with code 3: no \?\[31msuch file`},
		"greedy":      {[]string{"--memory=32m", "--memory-swap=32m", base, "sh", "-c", "sleep 1; exec tail /dev/zero"}, nil, `\(exited.*\): the kernel killed it for want of memory: its limit is 32MiB, at \d\d:\d\d on \d+ \w+.*`},
		"unstartable": {[]string{base, "/no/such/program"}, nil, `\(created.*\): the engine could not start it: .*/no/such/program.*`},
		"stopped": {[]string{base, "sleep", "infinity"}, func(container string) {
			harness.Must(t, exec.Command("docker", "stop", "-t", "0", container))
		}, `\(exited.*\): somebody stopped it by the engine \(SIGKILL, code \d+\)`},
	} {
		t.Run(name, func(t *testing.T) {
			to, container := b.run(t, name, c.args...)
			if c.end != nil {
				c.end(container)
			}
			harness.Eventually(t, "its end", func() bool { return !isRunning(t, container) })
			want := regexp.MustCompile(`^berth: host "` + container + `" is not running ` + c.want + "\n$")
			if got := to.Run(t, "ssh h true"); got.Exit != 255 || !want.MatchString(got.Stderr) {
				t.Errorf("exit %d, told %q, want %s", got.Exit, got.Stderr, want)
			}
		})
	}
	t.Run("runs_again", func(t *testing.T) {
		to, container := b.run(t, "again", "--restart=always", base, "sh", "-c", "until test -e /end; do sleep 0.1; done; rm /end; echo out of luck; exit 4")
		to.Want(t, "ssh h true", "")
		harness.Must(t, exec.Command("docker", "exec", container, "touch", "/end"))
		harness.Eventually(t, "it to run again", func() bool { return restartCount(t, container) == 1 && isRunning(t, container) })
		copied := filepath.Join(t.TempDir(), "copied")
		to.Want(t, "ssh h true; scp -q h:/etc/hostname "+copied, "")
		told := regexp.MustCompile(`^berth: host "` + container + `" was started again at \d\d:\d\d on \d+ \w+: its command ended with code 4: out of luck\r\n$`)
		if got := to.Run(t, "ssh -tt h true"); got.Exit != 0 || !told.MatchString(got.Stderr) {
			t.Errorf("exit %d, told %q, want %s", got.Exit, got.Stderr, told)
		}
		if got := to.Run(t, "ssh -tt h true"); got.Stderr != "" {
			t.Errorf("told again: %q", got.Stderr)
		}
	})
}

func isRunning(t *testing.T, container string) bool {
	return inspect(t, container, "{{.State.Status}}") == "running"
}

func restartCount(t *testing.T, container string) int {
	n, err := strconv.Atoi(inspect(t, container, "{{.RestartCount}}"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func inspect(t *testing.T, container, format string) string {
	t.Helper()
	return strings.TrimSpace(harness.Must(t, exec.Command("docker", "inspect", "-f", format, container)))
}
