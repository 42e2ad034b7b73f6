package harness

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Container is a host created by provision.
type Container struct {
	Dir  string // the gateway's directory, with the state that the container uses, too
	Key  string // path of a key that the gateway accepts
	Host string // its name at the gateway, which no other container has
	Name string // its name at the engine
}

// StartContainer creates a container whose sshd trusts the user CA in dir/state.
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

// RemoveVolumes removes the volumes that berth-provision down leaves.
func RemoveVolumes(t *testing.T, project string) {
	t.Helper()
	names := strings.Fields(Must(t, exec.Command("docker", "volume", "ls", "-q", "--filter", "label=berth.project="+project)))
	Must(t, exec.Command("docker", append([]string{"volume", "rm"}, names...)...))
}

// Config returns users and hosts for gateway.yaml: dev may enter the container as
// developer, by its own name (route sshd) and as lab (route exec).
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

// SSHD returns the door to the container's own sshd, without a gateway, with a key
// that the gateway's user CA has signed.
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

// Address returns its IP address.
func (c Container) Address(t *testing.T) string {
	t.Helper()
	format := "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
	return strings.TrimSpace(Must(t, exec.Command("docker", "inspect", "-f", format, c.Name)))
}

// Run runs a command in the container as root, by the engine.
func (c Container) Run(t *testing.T, command ...string) string {
	t.Helper()
	return Must(t, exec.Command("docker", append([]string{"exec", c.Name}, command...)...))
}

// HelperFile returns the path of the helper that a gateway with its state below dir
// gives to containers.
func HelperFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(StateOf(dir), "helper", strings.Repeat("?", 64)))
	if err != nil || len(files) != 1 {
		t.Fatalf("helpers for containers: %q, %v", files, err)
	}
	return files[0]
}

// Targets returns the container's own sshd, and the doors of a gateway to it: route
// sshd and route exec.
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

// Image returns the image of the container.
func (c Container) Image(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(Must(t, exec.Command("docker", "inspect", "-f", "{{.Image}}", c.Name)))
}
