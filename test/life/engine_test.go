package life

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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

// TestAHostEndsWithItsEngine: an engine that crashed stops, when it is started again, what
// was left of the one before. Nobody is told that somebody did that.
func TestAHostEndsWithItsEngine(t *testing.T) {
	t.Parallel()
	dir := harness.OpenDir(t)
	image := filepath.Join(dir, "image.tar")
	tag := harness.TinyImage(t)
	harness.Must(t, exec.Command("docker", "save", "-o", image, tag))
	one := engine.Start(t, dir, os.Environ())
	t.Cleanup(func() { one.RemoveContainers(t) })
	docker := func(args ...string) *exec.Cmd {
		return exec.Command("docker", append([]string{"-H", one.Address}, args...)...)
	}
	harness.Must(t, docker("load", "-q", "-i", image))
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGateway(t, dir, fmt.Sprintf("docker: %s\nusers:\n  dev: { keys: [ %s ], hosts: { lab: dev } }\n", one.Address, harness.PublicKey(t, key)))
	harness.Must(t, docker("run", "-d", "--name", "lab", "--label", "berth.host=lab", "--network", "none", "--stop-timeout", "1", tag))
	to := g.Target(t, "exec", "dev+lab", key)
	harness.Eventually(t, "a login", func() bool { return to.Run(t, "ssh h true").Exit == 0 })
	one.Kill()
	one.Restart(t)
	want := regexp.MustCompile(`host "lab" is not running \(exited\): the engine stopped it \(SIG(TERM|KILL), code \d+\), for somebody or since it was itself started again`)
	told := ""
	harness.Eventually(t, "who comes is told", func() bool {
		told = to.Run(t, "ssh h true").Stderr
		return strings.Contains(told, "is not running")
	})
	if !want.MatchString(told) {
		t.Errorf("told:\n%s", told)
	}
	harness.Must(t, docker("start", "lab"))
	harness.Must(t, docker("stop", "lab"))
	harness.Eventually(t, "who comes is told of a person", func() bool {
		return strings.Contains(to.Run(t, "ssh h true").Stderr, "somebody stopped it by the engine (SIG")
	})
}
