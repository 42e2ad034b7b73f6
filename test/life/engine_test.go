package life

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// TestEngineRestart restarts an engine of its own that leaves its containers
// alone meanwhile (live-restore).
func TestEngineRestart(t *testing.T) {
	t.Parallel()
	dir := harness.OpenDir(t)
	image := filepath.Join(dir, "image.tar")
	tag := harness.TinyImage(t)
	harness.Must(t, exec.Command("docker", "save", "-o", image, tag))
	one := engine.Start(t, dir, os.Environ(), "--live-restore")
	docker := func(args ...string) *exec.Cmd {
		return exec.Command("docker", append([]string{"-H", one.Address}, args...)...)
	}
	harness.Must(t, docker("load", "-q", "-i", image))
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGateway(t, dir, fmt.Sprintf("docker: %s\nusers:\n  dev: { keys: [ %s ], hosts: { lab: dev } }\n", one.Address, harness.PublicKey(t, key)))
	harness.Must(t, docker("run", "-d", "--name", "lab", "--label", "berth.host=lab", "--network", "none", "-v", filepath.Dir(harness.HelperFile(t, dir))+":/usr/lib/berth:ro", tag))
	to := g.Target(t, "exec", "dev+lab", key)
	session := to.StartCat(t)
	one.Stop()
	session.WantLine(t, "without an engine")
	another := engine.Start(t, dir, os.Environ(), "--live-restore")
	t.Cleanup(func() { another.RemoveContainers(t) })
	session.WantLine(t, "with another")
	harness.Eventually(t, "a login", func() bool { return to.Run(t, "ssh h true").Exit == 0 })
}
