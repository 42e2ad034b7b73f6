package harness

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Container is a host that provision made.
type Container struct {
	Dir  string // of the gateway: its state is the container's, too
	Key  string // file, which opens the gateway
	Host string // its name at the gateway, which nobody else's container has
	Name string // its name at the engine
}

// StartContainer makes a container whose sshd trusts the user CA in dir/state.
func StartContainer(t *testing.T) Container {
	t.Helper()
	Need(t, "ssh", "ssh-keygen", "docker")
	base := BaseImage(t)
	dir := t.TempDir()
	project := HostName(fmt.Sprint(rand.IntN(1e9)))
	file := filepath.Join(dir, "compose.yaml")
	Write(t, file, 0o600, "services: { master: { init: true, x-berth: { host: "+project+", route: sshd } } }\n")
	provision := func(command string) *exec.Cmd {
		return exec.Command(Program("provision"), command, "-p", project, "--state", StateOf(dir), "--base", base, "-f", file, "--yes")
	}
	t.Cleanup(func() {
		Must(t, provision("down"))
		RemoveVolumes(t, project)
	})
	Must(t, provision("up"))
	return Container{Dir: dir, Key: MakeKey(t, dir, "id"), Host: project, Name: project + "-master-1"}
}

// RemoveVolumes removes what berth-provision down leaves.
func RemoveVolumes(t *testing.T, project string) {
	t.Helper()
	names := strings.Fields(Must(t, exec.Command("docker", "volume", "ls", "-q", "--filter", "label=berth.project="+project)))
	Must(t, exec.Command("docker", append([]string{"volume", "rm"}, names...)...))
}

// Config is a configuration of users and hosts: dev enters the container as
// developer by the host of its own name (route sshd), and by lab (route exec).
func (c Container) Config(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf(`
users:
  dev:
    keys: [ %s ]
    hosts: { %s: developer, lab: developer }
hosts:
  lab: { route: exec, container: %s, account: developer }
`, PublicKey(t, c.Key), c.Host, c.Name)
}

// SSHD is the container's own door, past the gateway, for a key that the
// gateway's user CA signs.
func (c Container) SSHD(t *testing.T) Door {
	t.Helper()
	key := MakeKey(t, c.Dir, "signed")
	Must(t, exec.Command("ssh-keygen", "-q", "-s", filepath.Join(StateOf(c.Dir), "user_ca"),
		"-I", "test", "-n", "developer", "-V", "+1h", key+".pub"))
	address := c.Address(t)
	Eventually(t, "the container's sshd", func() bool { return Answers(address + ":22") })
	knownHosts := filepath.Join(c.Dir, "sshd.known_hosts")
	Write(t, knownHosts, 0o600, address+" "+c.Run(t, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"))
	return Door{address + ":22", "developer", key, knownHosts}
}

// Address is its IP address.
func (c Container) Address(t *testing.T) string {
	t.Helper()
	format := "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
	return strings.TrimSpace(Must(t, exec.Command("docker", "inspect", "-f", format, c.Name)))
}

// Run runs a command in the container as root, through no door of it.
func (c Container) Run(t *testing.T, command ...string) string {
	t.Helper()
	return Must(t, exec.Command("docker", append([]string{"exec", c.Name}, command...)...))
}

// HelperFile is what a gateway with its state below dir has containers run.
func HelperFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(StateOf(dir), "helper", strings.Repeat("?", 64)))
	if err != nil || len(files) != 1 {
		t.Fatalf("helpers for containers: %q, %v", files, err)
	}
	return files[0]
}

// Targets are the container's own sshd, and the doors of a gateway that leads
// to it: route sshd, and route exec.
func (c Container) Targets(t *testing.T) []Target {
	t.Helper()
	g := StartGateway(t, c.Dir, c.Config(t))
	sshd := c.SSHD(t)
	return withOracle(sshd,
		NewTarget(t, c.Dir, "sshd", sshd),
		g.Target(t, "relay", "dev+"+c.Host, c.Key),
		g.Target(t, "exec", "dev+lab", c.Key),
	)
}

// Image is the one that the container was made of.
func (c Container) Image(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(Must(t, exec.Command("docker", "inspect", "-f", "{{.Image}}", c.Name)))
}
