package owner

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// former is a commit whose gateway is another version: the first with all of what an
// upgrade needs.
const former = "28e970abae9fcd7bf161430819a0c5a78e4726e4"

// formerGateway builds it, or skips the test where the history does not go back so far.
func formerGateway(t *testing.T) (program string) {
	t.Helper()
	harness.Need(t, "git", "go", "tar")
	if !harness.Soaking() {
		t.Skip("it builds another version; set " + harness.EnvSoak)
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("git", "-C", root, "cat-file", "-e", former+"^{commit}").Run(); err != nil {
		t.Skip("this clone has no commit ", former)
	}
	dir := t.TempDir()
	harness.Must(t, exec.Command("sh", "-ec", `git -C "$0" archive `+former+` | tar -x -C "$1"`, root, dir))
	build := exec.Command(filepath.Join(dir, "scripts/test-programs"), filepath.Join(dir, "bin"))
	build.Env = append(os.Environ(), "GOFLAGS=")
	harness.Must(t, build)
	return filepath.Join(dir, "bin", "gateway")
}

// Two versions take over from each other, there and back: what runs in a container or
// on this machine goes on with the gateway and the helper with which it began, and who
// comes meets the new one with the same keys.
func TestAnUpgradeToAnotherVersionAndBack(t *testing.T) {
	was, is := formerGateway(t), harness.Program("gateway")
	for _, place := range []string{"machine", "container"} {
		t.Run(place, func(t *testing.T) {
			installed := filepath.Join(t.TempDir(), "berth-gateway")
			install(t, was, installed)
			by := func(_ string, args ...string) *exec.Cmd { return harness.PlainHome(installed, args...) }
			var doors []harness.Target
			var g *harness.Gateway
			if place == "machine" {
				m := harness.StartMachineBy(t, by)
				g, doors = m.Gateway, m.Doors()
			} else {
				lab := harness.StartLab(t, harness.Place{By: by, Mounted: true})
				g, doors = lab.Gateway, []harness.Target{lab.Door}
			}
			thereAndBack(t, g, doors, func(program string) { install(t, program, installed) }, is, was)
		})
	}
}

// thereAndBack upgrades a gateway to each of these programs in turn.
func thereAndBack(t *testing.T, g *harness.Gateway, doors []harness.Target, install func(string), programs ...string) {
	var clients []*harness.Client
	enter := func() {
		for _, to := range doors {
			clients = append(clients, to.StartCat(t))
			to.Want(t, "ssh h 'echo in; exit 3'; echo $?", "in\n3\n")
		}
		for i, client := range clients {
			client.WantLine(t, fmt.Sprintf("client %d goes on", i))
		}
	}
	enter()
	for _, program := range programs {
		install(program)
		upgrade(t, g)
		enter()
	}
	served := map[int]int{}
	for _, c := range sessions(t, g) {
		served[c.PID]++
	}
	if len(served) != 1+len(programs) {
		t.Errorf("connections by gateway: %v", served)
	}
	if out := must(t, g, "kick", "dev"); strings.Count(out, "ended ") != 1 {
		t.Errorf("kick says %q", out)
	}
	for _, client := range clients {
		client.Wait(t)
	}
}

// install puts a program where the gateway has been started from.
func install(t *testing.T, program, path string) {
	t.Helper()
	harness.Must(t, exec.Command("cp", program, path+".new"))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
