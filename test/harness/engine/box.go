package engine

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// Box is a separate computer for a gateway: a network with an engine and an sshd in
// it, at the other end of a virtual wire.
type Box struct {
	*Engine
	Name    string
	URL     string // of its engine, for gateway.yaml, by SSH
	Address string // of its sshd

	wire    string    // the interface at this end
	dir     string    // of its sshd
	hostKey string    // file
	sshd    *exec.Cmd // nil if it does not run
	config  string    // the box's part of an ssh_config
}

// NewBox starts a box, which has this image as "base".
func NewBox(t *testing.T, name, image string) *Box {
	t.Helper()
	e := Start(t, harness.OpenDir(t), os.Environ(), "--storage-driver", "overlay2")
	t.Cleanup(func() { e.RemoveContainers(t) })
	b := behindWire(t, name, e)
	b.load(t, image)
	return b
}

// behindWire connects a wire to an engine, and starts an sshd beside that.
func behindWire(t *testing.T, name string, e *Engine) *Box {
	t.Helper()
	harness.Need(t, "ip", "nsenter", "/usr/sbin/sshd", "ssh-keygen", "docker")
	b := &Box{Engine: e, Name: name, URL: "ssh://" + name + filepath.Join(e.dir, "docker.sock")}
	b.lay(t)
	b.setUpSSHD(t)
	b.StartSSHD(t, "")
	return b
}

// lay creates the wire.
func (b *Box) lay(t *testing.T) {
	t.Helper()
	number := rand.IntN(250 * 250)
	net := fmt.Sprintf("10.%d.%d.", 100+number/250%100, number%250)
	pid := strconv.Itoa(b.command.Process.Pid)
	b.wire = fmt.Sprintf("berth%d", number)
	for _, command := range [][]string{
		{"ip", "link", "add", b.wire, "type", "veth", "peer", "name", "wire", "netns", pid},
		{"ip", "addr", "add", net + "1/30", "dev", b.wire},
		{"ip", "link", "set", b.wire, "up"},
		b.within("ip", "addr", "add", net+"2/30", "dev", "wire"),
		b.within("ip", "link", "set", "wire", "up"),
		b.within("ip", "link", "set", "lo", "up"),
	} {
		harness.Must(t, exec.Command(command[0], command[1:]...))
	}
	b.Address = net + "2:22"
}

// within returns a command in the box's network.
func (b *Box) within(command ...string) []string {
	return append([]string{"nsenter", "--net=/proc/" + strconv.Itoa(b.command.Process.Pid) + "/ns/net", "--"}, command...)
}

// Cut interrupts the wire, like a pulled cable, until Mend.
func (b *Box) Cut(t *testing.T)  { harness.Must(t, exec.Command("ip", "link", "set", b.wire, "down")) }
func (b *Box) Mend(t *testing.T) { harness.Must(t, exec.Command("ip", "link", "set", b.wire, "up")) }

// setUpSSHD creates the keys, and the box's part of an ssh_config.
func (b *Box) setUpSSHD(t *testing.T) {
	t.Helper()
	os.MkdirAll("/run/sshd", 0o755) // sshd of root wants it
	b.dir = t.TempDir()
	key := harness.MakeKey(t, b.dir, "id")
	b.hostKey = harness.MakeKey(t, b.dir, "host_key")
	known := filepath.Join(b.dir, "known_hosts")
	harness.Write(t, known, 0o600, b.Name+" "+harness.PublicKey(t, b.hostKey)+"\n")
	b.config = fmt.Sprintf(`Host %s
	HostKeyAlias %s
	User root
	IdentityFile %s
	IdentitiesOnly yes
	UserKnownHostsFile %s
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking yes
`, b.Name, b.Name, key, known)
	b.Behind(b.Address)
}

// Behind makes later SSH calls use another address of the box, of a program that
// forwards to its own one.
func (b *Box) Behind(address string) {
	host, port, _ := net.SplitHostPort(address)
	config, _, _ := strings.Cut(b.config, "\tHostName ")
	b.config = config + "\tHostName " + host + "\n\tPort " + port + "\n"
}

// StartSSHD starts the box's sshd with this host key; "" stands for its own.
func (b *Box) StartSSHD(t *testing.T, hostKey string) {
	t.Helper()
	hostKey = cmp.Or(hostKey, b.hostKey)
	config := filepath.Join(b.dir, "sshd_config")
	harness.Write(t, config, 0o600, fmt.Sprintf(`
ListenAddress %s
HostKey %s
PidFile none
AuthorizedKeysFile %s.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
LogLevel ERROR
`, b.Address, hostKey, filepath.Join(b.dir, "id")))
	args := b.within("/usr/sbin/sshd", "-D", "-e", "-f", config)
	b.sshd = exec.Command(args[0], args[1:]...)
	b.sshd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.StopSSHD)
	harness.Eventually(t, "the box's sshd", func() bool { return harness.Answers(b.Address) })
}

// StopSSHD ends the box's sshd. Open connections go on.
func (b *Box) StopSSHD() {
	if b.sshd != nil {
		b.sshd.Process.Kill()
		b.sshd.Wait()
		b.sshd = nil
	}
}

// SSH returns a directory with an ssh command that knows these boxes by name.
func SSH(t *testing.T, boxes ...*Box) string {
	t.Helper()
	program, err := exec.LookPath("ssh")
	if err != nil {
		harness.Missing(t, err.Error())
	}
	dir := harness.OpenDir(t)
	config := filepath.Join(dir, "config")
	text := ""
	for _, b := range boxes {
		text += b.config
	}
	harness.Write(t, config, 0o600, text)
	harness.Write(t, filepath.Join(dir, "ssh"), 0o755, fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", program, config))
	return dir
}

// Path returns a PATH variable with that ssh command first.
func Path(ssh string) string { return "PATH=" + ssh + ":" + os.Getenv("PATH") }

// load copies an image to the box.
func (b *Box) load(t *testing.T, image string) {
	t.Helper()
	script := `docker save "$1" | docker -H "$2" load -q | sed 's/.*: //' | { read image; docker -H "$2" tag "$image" base; }`
	command := exec.CommandContext(t.Context(), "sh", "-euc", script, "sh", image, b.Engine.Address)
	command.WaitDelay = time.Second
	harness.Must(t, command)
}

// Docker returns a docker command for the box's engine.
func (b *Box) Docker(args ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"-H", b.Engine.Address}, args...)...)
}

// Run runs a container of the box's image that sleeps, with a host's name, and
// returns its name at the engine.
func (b *Box) Run(t *testing.T, host string, args ...string) string {
	t.Helper()
	name := strings.ReplaceAll(host, ".", "-")
	args = append([]string{"run", "-d", "--init", "--network", "none", "--name", name, "--label", "berth.host=" + host}, args...)
	harness.Must(t, b.Docker(append(args, "base", "sleep", "infinity")...))
	return name
}
