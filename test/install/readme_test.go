package install

import (
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/berth-ssh/berth/test/harness"
)

// TestReadme follows the five commands of the README on an empty Debian, from
// the package to a shell in a container; then takes the package away.
func TestReadme(t *testing.T) {
	harness.Need(t, "docker", "dpkg-deb", "ssh", "ssh-keygen")
	commands := readmeCommands(t)
	b := startBox(t)
	before := b.files(t)

	b.docker(t, commands["docker"])
	b.run(t, commands["sudo apt"])
	if out := b.run(t, "berth-gateway --version; berth-provision --version"); strings.Count(out, " version ") != 2 {
		t.Errorf("versions: %s", out)
	}
	b.init(t, commands["sudo berth-gateway"], commands["ssh"])
	b.startService(t, commands["sudo systemctl"])
	out := b.ssh(t, commands["ssh"]+" 'hostname; id -un; echo $BERTH_USER'")
	if want := b.webID(t) + "\nroot\nanna\n"; out != want {
		t.Errorf("in the container: %q, want %q", out, want)
	}
	b.upgradeKeeps(t)
	b.purgeLeaves(t, before)
}

// readmeCommands are the commands of the README's section Install, by their
// first word or words.
func readmeCommands(t *testing.T) map[string]string {
	t.Helper()
	_, section, _ := strings.Cut(harness.Read(t, "../../README.md"), "\n## Install\n")
	_, block, _ := strings.Cut(section, "\n```sh\n")
	block, _, _ = strings.Cut(block, "```")
	commands := map[string]string{}
	for line := range strings.Lines(block) {
		command, _, _ := strings.Cut(line, " #")
		words := regexp.MustCompile(`^(sudo )?[\w-]+`).FindString(command)
		commands[words] = strings.TrimSpace(command)
	}
	if len(commands) != 5 {
		t.Fatalf("the README has not five commands: %q", commands)
	}
	return commands
}

// box is an empty Debian whose docker command is the engine's here. Its user
// anna logs in to it by a key that is on her laptop, which is here.
type box struct {
	name string // of its container
	web  string // what the README calls web: others are at this engine, too
	dir  string
	key  string
}

func startBox(t *testing.T) box {
	t.Helper()
	base, socket := harness.BaseImage(t), harness.EngineSocket(t)
	b := box{name: "berth-" + harness.Mark(), web: "web-" + harness.Mark(), dir: t.TempDir()}
	b.key = harness.MakeKey(t, b.dir, "id")
	packages := packageHere(t, b.dir)
	t.Cleanup(func() { exec.Command("docker", "rm", "-f", b.name, b.web).Run() })
	harness.Must(t, exec.Command("docker", "run", "-d", "--init", "--name", b.name, "--hostname", "gpu-box",
		"-v", socket+":/var/run/docker.sock", "-v", packages+":/packages:ro", base, "sleep", "1000000"))
	b.run(t, "useradd --create-home anna; install -d /home/anna/.ssh; echo '"+harness.PublicKey(t, b.key)+"' >/home/anna/.ssh/authorized_keys")
	return b
}

// packageHere makes the .deb of the programs under test.
func packageHere(t *testing.T, dir string) string {
	t.Helper()
	programs := filepath.Join(dir, "programs")
	harness.Must(t, exec.Command("mkdir", programs))
	for _, name := range []string{"gateway", "provision"} {
		harness.Must(t, exec.Command("cp", harness.Program(name), filepath.Join(programs, "berth-"+name)))
	}
	arch := strings.TrimSpace(harness.Must(t, exec.Command("dpkg", "--print-architecture")))
	out, err := exec.Command("../../scripts/package", programs, programs, arch, "0.0.0", dir, "deb").CombinedOutput()
	if strings.Contains(string(out), "proxy.golang.org") || strings.Contains(string(out), "dial tcp") {
		harness.Missing(t, "nfpm cannot be fetched: "+string(out))
	}
	if err != nil {
		t.Fatalf("package: %v\n%s", err, out)
	}
	return dir
}

// in is a command of anna's in the box, as root by sudo.
func (b box) in(args ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"exec", "-e", "SUDO_USER=anna", "-w", "/packages", b.name}, args...)...)
}

func (b box) run(t *testing.T, command string) string {
	t.Helper()
	return harness.Must(t, b.in("bash", "-c", `sudo() { "$@"; }; `+command))
}

// docker runs the README's docker command: on a box, the engine is its own.
func (b box) docker(t *testing.T, command string) {
	t.Helper()
	command = strings.NewReplacer("--name web", "--name "+b.web, "debian:12", harness.BaseImage(t)).Replace(command)
	harness.Must(t, exec.Command("bash", "-c", command))
}

// webID is what hostname prints in the container.
func (b box) webID(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(harness.Must(t, exec.Command("docker", "inspect", "-f", "{{.Config.Hostname}}", b.web)))
}

// init runs init at a terminal and answers with Enter. It is kept to the one
// container: others' are at this engine, too. What it prints last is the
// README's ssh command.
func (b box) init(t *testing.T, command, ssh string) {
	t.Helper()
	words := strings.Fields(strings.TrimPrefix(command, "sudo "))
	init := exec.Command("docker", append([]string{"exec", "-it", "-e", "SUDO_USER=anna", b.name}, append(words, "--host", b.web)...)...)
	terminal, err := pty.Start(init)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	terminal.WriteString("\n")
	out, _ := io.ReadAll(terminal) // ends with EIO
	if err := init.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	for _, line := range []string{"wrote /etc/berth/gateway.yaml", "  " + strings.Replace(ssh, "+web@", "+"+b.web+"@", 1)} {
		if !strings.Contains(string(out), line+"\r\n") {
			t.Errorf("init does not say %q:\n%s", line, out)
		}
	}
}

// startService does what systemd would, by the unit that is installed: there is
// no systemd in the box.
func (b box) startService(t *testing.T, command string) {
	t.Helper()
	if command != "sudo systemctl enable --now berth-gateway" {
		t.Errorf("no systemctl of ours: %s", command)
	}
	unit := b.run(t, "cat /usr/lib/systemd/system/berth-gateway.service")
	for _, line := range regexp.MustCompile(`(?m)^ExecStart(Pre)?=(.*)$`).FindAllStringSubmatch(unit, -1) {
		if line[1] == "Pre" {
			b.run(t, line[2])
		} else {
			harness.Must(t, exec.Command("docker", "exec", "-d", b.name, "bash", "-c", "echo $$ >/run/gateway.pid; exec "+line[2]))
		}
	}
	harness.Eventually(t, "the gateway in the box", func() bool { return harness.Answers(b.address(t) + ":2222") })
}

func (b box) address(t *testing.T) string {
	t.Helper()
	return harness.Container{Name: b.name}.Address(t)
}

// ssh runs the README's ssh command on the laptop, which knows the box.
func (b box) ssh(t *testing.T, command string) string {
	t.Helper()
	config := filepath.Join(b.dir, "config")
	harness.Write(t, config, 0o600, "Host gpu-box\n  HostName "+b.address(t)+"\n  IdentityFile "+b.key+
		"\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n  LogLevel ERROR\n  UserKnownHostsFile "+filepath.Join(b.dir, "known_hosts")+"\n")
	command = strings.NewReplacer("ssh ", "ssh -F "+config+" ", "+web@", "+"+b.web+"@").Replace(command)
	return harness.Must(t, exec.Command("bash", "-c", command))
}

// upgradeKeeps installs the package again: the file with the users stays.
func (b box) upgradeKeeps(t *testing.T) {
	t.Helper()
	was := b.run(t, "cat /etc/berth/gateway.yaml")
	b.run(t, "apt-get install --reinstall -y ./berth_*.deb")
	if is := b.run(t, "cat /etc/berth/gateway.yaml"); is != was {
		t.Errorf("after an upgrade:\n%s\nbefore:\n%s", is, was)
	}
}

// purgeLeaves takes the package away: all that is new in the box then, and was
// not before, belongs to dpkg. The container runs on.
func (b box) purgeLeaves(t *testing.T, before []string) {
	t.Helper()
	b.run(t, "kill $(cat /run/gateway.pid); tail --pid=$(cat /run/gateway.pid) -f /dev/null; rm /run/gateway.pid")
	b.run(t, "apt-get purge -y berth")
	// Its process may keep the socket for another one yet, and writes of no host any more.
	late := "berth-" + harness.Mark()
	t.Cleanup(func() { exec.Command("docker", "rm", "-f", late).Run() })
	harness.Must(t, exec.Command("docker", "create", "--name", late, "--label", "berth.host="+late, "--label", "berth.project=late", harness.BaseImage(t)))
	for _, file := range b.files(t) {
		if _, was := slices.BinarySearch(before, file); !was {
			t.Errorf("a purge leaves %s", file)
		}
	}
	if state := harness.Must(t, exec.Command("docker", "inspect", "-f", "{{.State.Running}}", b.web)); state != "true\n" {
		t.Errorf("the container runs: %s", state)
	}
}

// files are all files of the box but those that dpkg and apt keep for themselves.
func (b box) files(t *testing.T) []string {
	t.Helper()
	out := b.run(t, `find / -xdev \( -path /proc -o -path /sys -o -path /packages -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log \) -prune -o -print`)
	files := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(files)
	return files
}
