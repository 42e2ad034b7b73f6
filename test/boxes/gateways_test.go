package boxes

import (
	"fmt"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// A box that has a gateway of its own is joined as any sshd: what a person does goes
// through both, as a user that the other one has.
func TestABoxWithItsOwnGateway(t *testing.T) {
	dir, boxDir := harness.OpenDir(t), harness.OpenDir(t)
	key, gateKey := harness.MakeKey(t, dir, "id"), harness.MakeKey(t, dir, "gate")
	box := harness.StartGateway(t, boxDir, fmt.Sprintf("users: { gate: { keys: [ %s ], hosts: { here: } } }\nhosts: { here: { route: local } }\n", harness.PublicKey(t, gateKey)))
	g := harness.StartGateway(t, dir, fmt.Sprintf(`
users: { dev: { keys: [ %s ], hosts: { master: } } }
hosts:
  master: { route: sshd, address: "%s", account: gate+here, key_file: %s, host_key: %s }
`, harness.PublicKey(t, key), box.Address, gateKey, harness.PublicKey(t, harness.StateOf(boxDir)+"/ssh_host_ed25519_key")))
	to := g.Target(t, "master", "dev+master", key)
	to.Want(t, `echo in | ssh h 'cat; echo user $BERTH_USER; exit 0'`, "in\nuser gate\n")
	if got := to.Run(t, `ssh h 'echo e >&2; exit 7'`); got.Exit != 7 || got.Stderr != "e\n" {
		t.Errorf("exit %d, %q", got.Exit, got.Stderr)
	}
	to.Want(t, `head -c 3M /dev/urandom >f; scp -q f h:"$PWD/g" && cmp f g && echo same`, "same\n")
}
