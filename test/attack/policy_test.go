package attack

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// The attack: an algorithm that is weak, or that costs the gateway more than its
// attacker, comes back unseen. What is offered is what the policy says.
func TestSSHAuditsPolicyHolds(t *testing.T) {
	harness.Need(t, "ssh-audit")
	g := harness.StartGateway(t, t.TempDir(), "users:\n")
	_, port, err := net.SplitHostPort(g.Address)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh-audit", "-n", "-P", "ssh-audit.policy", "-p", port, "127.0.0.1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Passed") {
		t.Errorf("%v\n%s", err, out)
	}
}
