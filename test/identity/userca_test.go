package identity

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// caLab is a container whose sshd trusts a user CA, and a gateway with that CA.
type caLab struct {
	harness.Container
	t       *testing.T
	gateway *harness.Gateway
	relay   harness.Target
}

func startCALab(t *testing.T) *caLab {
	t.Helper()
	l := &caLab{Container: harness.StartContainer(t), t: t}
	l.start()
	return l
}

func (l *caLab) start() {
	l.t.Helper()
	l.gateway = harness.StartGateway(l.t, l.Dir, l.Config(l.t))
	l.relay = harness.NewTarget(l.t, l.t.TempDir(), "relay", l.gateway.Door("dev+"+l.Host, l.Key))
}

// restartGateway ends the gateway and starts another one.
func (l *caLab) restartGateway() {
	l.t.Helper()
	l.gateway.Signal(syscall.SIGTERM)
	l.gateway.AwaitEnd(l.t)
	l.start()
}

func (l *caLab) restartHost() {
	l.t.Helper()
	harness.Must(l.t, exec.Command("docker", "restart", "-t", "1", l.Name))
}

func (l *caLab) rotate(args ...string) (string, error) {
	args = append([]string{"keys", "rotate", "user-ca", "--config", filepath.Join(l.Dir, "gateway.yaml")}, args...)
	out, err := exec.Command(harness.Program("gateway"), args...).CombinedOutput()
	return string(out), err
}

func (l *caLab) mustRotate(args ...string) string {
	l.t.Helper()
	out, err := l.rotate(args...)
	if err != nil {
		l.t.Fatalf("rotate %v: %v\n%s", args, err, out)
	}
	return out
}

// isEntered fails the test where the gateway does not enter the host.
func (l *caLab) isEntered(when string) {
	l.t.Helper()
	if got := l.relay.Run(l.t, "ssh h whoami"); got.Stdout != "developer\n" {
		l.t.Errorf("%s: %+v", when, got)
	}
}

// opens reports whether a certificate of a CA, kept in a file, opens the host's sshd past
// the gateway.
func (l *caLab) opens(ca string) bool {
	l.t.Helper()
	dir := l.t.TempDir()
	key := harness.MakeKey(l.t, dir, "signed")
	harness.Must(l.t, exec.Command("ssh-keygen", "-q", "-s", ca, "-I", "test", "-n", "developer", "-V", "+1h", key+".pub"))
	address := l.Address(l.t)
	harness.Eventually(l.t, "the host's sshd", func() bool { return harness.Answers(address + ":22") })
	command := exec.Command("ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "developer@"+address, "true")
	return command.Run() == nil
}

// trusts fails the test where the host does not trust exactly these of two CAs, after a
// while: a container that starts is told in a moment.
func (l *caLab) trusts(when, old, next string, wantOld, wantNext bool) {
	l.t.Helper()
	harness.Eventually(l.t, fmt.Sprintf("%s: the old CA opens: %v, the next: %v", when, wantOld, wantNext), func() bool {
		return l.opens(old) == wantOld && l.opens(next) == wantNext
	})
}

// A host is made once, and lives through changes of the user CA: it trusts both for a
// while, and then the new one alone. Whatever restarts or fails in between, it can be
// entered, and provision has nothing to do.
func TestTheUserCAIsRotatedWithoutRecreatingHosts(t *testing.T) {
	l := startCALab(t)
	state := harness.StateOf(l.Dir)
	old, next := filepath.Join(l.Dir, "old_ca"), filepath.Join(l.Dir, "new_ca")
	keep := func(name, as string) {
		t.Helper()
		harness.Write(t, as, 0o600, harness.Read(t, filepath.Join(state, name)))
	}
	keep("user_ca", old)
	id := harness.Must(t, exec.Command("docker", "inspect", "-f", "{{.Id}}", l.Name))
	l.isEntered("at first")

	out := l.mustRotate()
	keep("user_ca.next", next)
	if !strings.Contains(out, "trust both: lab, "+l.Host+"\n") && !strings.Contains(out, "trust both: "+l.Host+", lab\n") {
		t.Errorf("it says:\n%s", out)
	}
	if !strings.Contains(out, harness.PublicKey(t, next)) {
		t.Errorf("it does not say the next CA:\n%s", out)
	}
	l.trusts("told of both", old, next, true, true)
	l.isEntered("told of both")
	l.restartHost()
	l.trusts("started again", old, next, true, true)
	l.isEntered("started again")

	l.mustRotate("--finish")
	l.isEntered("when the new one is used")
	l.trusts("when the new one is used", old, next, false, true)
	l.restartHost()
	l.isEntered("started again then")
	l.trusts("started again then", old, next, false, true)
	l.restartGateway()
	l.isEntered("by a gateway that knows nothing of it")

	// As where the image is of a version that has not this entrypoint.
	l.Run(t, "rm", "/etc/ssh/berth_user_cas")
	l.restartHost()
	l.isEntered("by an image of before")
	l.trusts("by an image of before", old, next, false, true)

	if now := harness.Must(t, exec.Command("docker", "inspect", "-f", "{{.Id}}", l.Name)); now != id {
		t.Error("the host was recreated")
	}
	plan := exec.Command(harness.Program("provision"), "plan", "-p", l.Host, "--state", state, "--base", harness.BaseImage(t), "-f", filepath.Join(l.Dir, "compose.yaml"))
	if out := harness.Must(t, plan); !strings.Contains(out, "nothing to do") {
		t.Errorf("the plan:\n%s", out)
	}
}

// A host that runs and cannot be told keeps the old CA in use; one that does not run is
// told when it does, and while no gateway runs nothing is lost.
func TestAUserCAIsUsedWhenEveryHostTrustsIt(t *testing.T) {
	l := startCALab(t)
	old := harness.PublicKey(t, filepath.Join(harness.StateOf(l.Dir), "user_ca"))
	l.mustRotate()
	l.mustRotate("--cancel")
	l.isEntered("when it was cancelled")
	if out, err := l.rotate("--finish"); err == nil {
		t.Errorf("one that was cancelled is finished:\n%s", out)
	}
	l.Run(t, "sh", "-c", "rm /etc/ssh/berth_user_cas && mkdir /etc/ssh/berth_user_cas") // in the way
	if out, err := l.rotate(); err == nil || !strings.Contains(out, "host "+l.Host+": ") {
		t.Errorf("a host that cannot be told: %v\n%s", err, out)
	}
	if out, err := l.rotate("--finish"); err == nil || harness.PublicKey(t, filepath.Join(harness.StateOf(l.Dir), "user_ca")) != old {
		t.Errorf("it is used: %v\n%s", err, out)
	}
	l.isEntered("when it could not be told")
	harness.Must(t, exec.Command("docker", "stop", "-t", "1", l.Name))
	if out := l.mustRotate("--finish"); !strings.Contains(out, "do not run, and are told when they do: ") {
		t.Errorf("of a host that is stopped it says:\n%s", out)
	}
	harness.Must(t, exec.Command("docker", "start", l.Name))
	l.Run(t, "rmdir", "/etc/ssh/berth_user_cas")
	l.isEntered("started when the new one is used")
	l.gateway.Signal(syscall.SIGTERM)
	l.gateway.AwaitEnd(t)
	if out := l.mustRotate(); !strings.Contains(out, "no gateway runs") {
		t.Errorf("without a gateway it says:\n%s", out)
	}
	l.mustRotate("--finish")
	l.start()
	l.isEntered("by a gateway that was not there")
}

// The attack, or the accident: a host of another gateway on the same engine is told of
// this one's user CA, and lets its people in no more.
func TestAHostOfAnotherGatewayIsNotToldOfAUserCA(t *testing.T) {
	l := startCALab(t)
	name := harness.HostName("another")
	other := harness.PublicKey(t, harness.MakeKey(t, l.Dir, "other_ca"))
	container := harness.RunContainer(t, "--label", "berth.host="+name, "--label", "berth.route=sshd", "-e", "BERTH_USER_CA="+other, l.Image(t))
	for _, args := range [][]string{nil, {"--finish"}} {
		if out := l.mustRotate(args...); strings.Contains(out, name) {
			t.Errorf("it is told of:\n%s", out)
		}
	}
	l.isEntered("the gateway's own host")
	if out, err := exec.Command("docker", "exec", container, "ls", "/etc/ssh/berth_user_cas").CombinedOutput(); err == nil {
		t.Errorf("it was told: %s", out)
	}
}
