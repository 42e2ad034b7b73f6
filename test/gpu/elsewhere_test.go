package gpu

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// TestABoxElsewhere reserves the GPUs of a box that only its engine is reached of: its
// driver and its books count there as they do here.
func TestABoxElsewhere(t *testing.T) {
	g, box := engine.NewGPUBoxElsewhere(t, "a100", 2)
	config := filepath.Join(g.Dir, "gateway.yaml")
	harness.Write(t, config, 0o600, "users: {}\nstate: "+filepath.Join(g.Dir, "state")+"\nboxes: {a100: {docker: "+box.URL+"}}\n")
	ssh := engine.SSH(t, box)
	provision := func(args ...string) *exec.Cmd {
		args = append([]string{"--box", "a100", "--config", config, "--state", filepath.Join(g.Dir, "state"), "--yes"}, args...)
		command := exec.CommandContext(t.Context(), harness.Program("provision"), args...)
		command.Env = append(command.Environ(), engine.Path(ssh), "DOCKER_HOST=unix:///nowhere")
		return command
	}
	gpu := func(count string) string {
		return ", deploy: {resources: {reservations: {devices: [{driver: nvidia, count: " + count + ", capabilities: [gpu]}]}}}"
	}
	file := g.Compose("lab", "master: "+gpu("1"), "worker: "+gpu("1"))
	if plan := harness.Must(t, provision("plan", "-p", "lab", "-f", file)); !strings.Contains(plan, "GPU-00000000") {
		t.Errorf("the plan gives no GPU:\n%s", plan)
	}
	up := harness.Must(t, provision("up", "-p", "lab", "-f", file))
	if holders := g.Holders("lab"); len(holders) != 2 {
		t.Errorf("GPUs are held so: %v", holders)
	}
	if !strings.Contains(up, "exec") || strings.Contains(up, "sshd") {
		t.Errorf("hosts on another box are entered by:\n%s", up)
	}
	if again := harness.Must(t, provision("up", "-p", "lab", "-f", file)); !strings.Contains(again, "nothing to do") {
		t.Errorf("a second up:\n%s", again)
	}
	third := g.Compose("other", "third: "+gpu("1"))
	if out, err := provision("up", "-p", "other", "-f", third).CombinedOutput(); err == nil || !strings.Contains(string(out), "master") {
		t.Errorf("a third GPU of two: %v\n%s", err, out)
	}
	if ps := harness.Must(t, provision("ps", "-p", "lab")); !strings.Contains(ps, "streams") {
		t.Errorf("ps:\n%s", ps)
	}
	var devices []struct{ Holders []struct{ Host string } }
	if err := json.Unmarshal([]byte(harness.Must(t, provision("gpus", "--json"))), &devices); err != nil || len(devices) != 2 || len(devices[0].Holders) != 1 {
		t.Errorf("gpus: %v, %v", err, devices)
	}
	for name, want := range map[string]string{"master": "box a100", "master.a100": "service master of project lab"} {
		if owner := harness.Read(t, filepath.Join(g.Dir, "state", "owners", name)); owner != want {
			t.Errorf("%s belongs to %q, want %q", name, owner, want)
		}
	}
	harness.Must(t, provision("down", "-p", "lab", "-f", file))
	if left := harness.Must(t, box.Docker("ps", "-aq")); left != "" {
		t.Errorf("containers are left: %s", left)
	}
	if out, err := provision("plan", "-f", file, "--box", "h200").CombinedOutput(); err == nil || !strings.Contains(string(out), "there is no box h200 in "+config+"; there are a100") {
		t.Errorf("a box that there is not: %v\n%s", err, out)
	}
	sshd := g.Compose("routes", "master: , x-berth: {route: sshd}")
	if out, err := provision("plan", "-f", sshd).CombinedOutput(); err == nil || !strings.Contains(string(out), "x-berth.route: sshd is not reached on box a100") {
		t.Errorf("route sshd: %v\n%s", err, out)
	}
}
