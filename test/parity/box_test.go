package parity

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// TestBox asks a host on another box, behind an sshd, what it asks every door, and the
// selftest of it.
func TestBox(t *testing.T) {
	b := engine.NewBox(t, "a100", harness.StartContainer(t).Image(t))
	b.Run(t, "master", "--entrypoint", "")
	by := harness.WithEnv(engine.Path(engine.SSH(t, b)))
	dir := harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGatewayBy(t, dir, fmt.Sprintf("docker: none\nboxes: { a100: { docker: %s } }\nusers: { dev: { keys: [ %s ], hosts: { master: developer } } }\n",
		b.URL, harness.PublicKey(t, key)), by)
	to := g.Target(t, "box", "dev+master", key)
	t.Run("oracle", func(t *testing.T) { oracle(t, to) })
	t.Run("protocol", func(t *testing.T) { protocol(t, to) })
	t.Run("selftest", func(t *testing.T) {
		command := by(harness.Program("gateway"), "selftest", "--quick", "--config", filepath.Join(dir, "gateway.yaml"), "master")
		if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), " 0 failed") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
