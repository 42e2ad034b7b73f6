package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// envBase names the image that the container's image is made from.
const envBase = "BERTH_BASE_IMAGE"

// container is a host that provision made.
type container struct {
	dir  string // of the gateway: its state is the container's, too
	key  string
	host string // its name at the gateway, which nobody else's container has
	name string // its name at the engine
}

// TestContainer tries the doors of a container.
func TestContainer(t *testing.T) {
	c := startContainer(t)
	gateway := startGateway(t, c.dir, c.config(t))
	targets := []target{
		newTarget(t, c.dir, "sshd", c.sshd(t)),
		gateway.target(t, "relay", "dev+"+c.host, c.key),
		gateway.target(t, "exec", "dev+lab", c.key),
	}
	suite(t, targets)
	guards(t, targets[1:])
	t.Run("wires", func(t *testing.T) { gateway.wires(t, targets[2:]) })
	t.Run("loads", func(t *testing.T) { loads(t, targets[2:]) })
	for _, to := range targets[1:] {
		t.Run(to.name+"/gateway's_loopback_is_out_of_reach", to.isolated)
		t.Run(to.name+"/sessions_know_the_user", to.knowsTheUser)
		t.Run(to.name+"/container_is_restarted", func(t *testing.T) { c.restarts(t, to) })
	}
	t.Run("connections_leave_nothing_behind", c.keepsNothing)
	t.Run("engine_is_late", c.survivesItsEngine)
	t.Run("gateway_is_stopped", c.outlivesNoFiles)
	t.Run("gateway_is_killed", c.outlivesItsGateway)
}

// startContainer makes a container whose sshd trusts the user CA in dir/state.
func startContainer(t *testing.T) container {
	t.Helper()
	need(t, "ssh", "ssh-keygen", "docker")
	base := baseImage(t)
	dir := t.TempDir()
	project := fmt.Sprintf("berth-test-%d", os.Getpid())
	file := filepath.Join(dir, "compose.yaml")
	write(t, file, 0o600, "services: { master: { init: true, x-berth: { host: "+project+" } } }\n")
	provision := func(command string) *exec.Cmd {
		return exec.Command(program("provision"), command, "-p", project, "--state", stateOf(dir), "--base", base, "-f", file, "--yes")
	}
	t.Cleanup(func() {
		must(t, provision("down"))
		removeVolumes(t, project)
	})
	must(t, provision("up"))
	return container{dir: dir, key: makeKey(t, dir, "id"), host: project, name: project + "-master-1"}
}

// removeVolumes removes what provision down leaves.
func removeVolumes(t *testing.T, project string) {
	t.Helper()
	names := strings.Fields(must(t, exec.Command("docker", "volume", "ls", "-q", "--filter", "label=berth.project="+project)))
	must(t, exec.Command("docker", append([]string{"volume", "rm"}, names...)...))
}

// baseImage is the image that envBase names, or else one that is left of the
// last make test.
func baseImage(t *testing.T) string {
	t.Helper()
	if base := os.Getenv(envBase); base != "" {
		must(t, exec.Command("docker", "image", "inspect", base))
		return base
	}
	out, err := exec.Command("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=berth-base:*").CombinedOutput()
	base, _, _ := strings.Cut(string(out), "\n")
	if err != nil || base == "" {
		missing(t, fmt.Sprintf("no base image (make test makes one; $%s names another): %s", envBase, out))
	}
	return base
}

func (c container) config(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf(`
users:
  dev:
    keys: [ %s ]
    hosts: { %s: developer, lab: developer }
hosts:
  lab: { route: exec, container: %s, account: developer }
`, publicKey(t, c.key), c.host, c.name)
}

// sshd is the container's own door, past the gateway, for a key that the
// gateway's user CA signs.
func (c container) sshd(t *testing.T) door {
	t.Helper()
	key := makeKey(t, c.dir, "signed")
	must(t, exec.Command("ssh-keygen", "-q", "-s", filepath.Join(stateOf(c.dir), "user_ca"),
		"-I", "test", "-n", "developer", "-V", "+1h", key+".pub"))
	address := c.address(t)
	await(t, "the container's sshd", func() bool { return answers(address + ":22") })
	knownHosts := filepath.Join(c.dir, "sshd.known_hosts")
	write(t, knownHosts, 0o600, address+" "+c.run(t, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"))
	return door{address + ":22", "developer", key, knownHosts}
}

func (c container) address(t *testing.T) string {
	t.Helper()
	format := "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
	return strings.TrimSpace(must(t, exec.Command("docker", "inspect", "-f", format, c.name)))
}

// run runs a command in the container as root, through no door of it.
func (c container) run(t *testing.T, command ...string) string {
	t.Helper()
	return must(t, exec.Command("docker", append([]string{"exec", c.name}, command...)...))
}

// outlivesNoFiles stops another gateway to the same container.
func (c container) outlivesNoFiles(t *testing.T) {
	g := startGateway(t, t.TempDir(), c.config(t))
	g.takesItsFiles(t, g.target(t, "exec", "dev+lab", c.key), func(path string) bool {
		return exec.Command("docker", "exec", c.name, "test", "-e", path).Run() == nil
	})
}

// outlivesItsGateway kills another gateway to the same container.
func (c container) outlivesItsGateway(t *testing.T) {
	g := startGateway(t, t.TempDir(), c.config(t))
	others := helpersIn(t, c.name)
	g.diesWithItsSessions(t, g.target(t, "exec", "dev+lab", c.key), func() []int {
		return slices.DeleteFunc(helpersIn(t, c.name), func(pid int) bool { return slices.Contains(others, pid) })
	})
}

// helperFile is what a gateway with its state below dir has containers run.
func helperFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(stateOf(dir), "helper", strings.Repeat("?", 64)))
	if err != nil || len(files) != 1 {
		t.Fatalf("helpers for containers: %q, %v", files, err)
	}
	return files[0]
}

// keepsNothing asks two more gateways to the same container.
func (c container) keepsNothing(t *testing.T) {
	needRoot(t) // who sees what a container's processes have open
	start := func() (*gateway, []target) {
		g := startGateway(t, t.TempDir(), c.config(t))
		return g, []target{g.target(t, "exec", "dev+lab", c.key)}
	}
	idle, doors := start()
	idle.warmUp(t, doors)
	least := idle.goroutines(t)
	g, doors := start()
	g.leavesNothing(t, doors, least, helperFile(t, c.dir))
}
