package selftest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/selftest/checks"
	"github.com/berth-ssh/berth/test/harness"
)

// selftestRun is the program, built, and a directory with its gateway.yaml. It
// runs as a process: the helper is the program itself.
type selftestRun struct {
	*testing.T
	program, dir string
}

func newSelftestRun(t *testing.T, hosts string) selftestRun {
	t.Helper()
	r := selftestRun{t, filepath.Join(t.TempDir(), "gateway"), t.TempDir()}
	build(t, r.program, "../cmd/gateway")
	harness.WriteKey(t, r.file("key"), 0o600)
	text := fmt.Sprintf("state: %s/state\nusers: {dev: {keys: [%s]}}\nhosts:\n%s\n", r.dir, publicHalf(t, r.file("key")), hosts)
	harness.Write(t, r.file("gateway.yaml"), 0o600, text)
	return r
}

func build(t *testing.T, to, pkg string) {
	t.Helper()
	command := exec.Command("go", "build", "-o", to, pkg)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func (r selftestRun) file(name string) string { return filepath.Join(r.dir, name) }

func (r selftestRun) command(args ...string) *exec.Cmd {
	args = append([]string{"selftest", "--quick", "--config", r.file("gateway.yaml")}, args...)
	command := exec.Command(r.program, args...)
	command.Env = append(os.Environ(), "TMPDIR="+r.TempDir())
	return command
}

// run runs the selftest and returns its rows by name, and what went to stderr.
func (r selftestRun) run(args ...string) (rows map[string]string, stderr string) {
	r.Helper()
	var out, errs bytes.Buffer
	command := r.command(args...)
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	r.Logf("selftest %s\n%s%s", strings.Join(args, " "), &out, &errs)
	rows = rowsOf(out.String())
	failures := 0
	for _, row := range rows {
		if strings.HasPrefix(row, "failed") {
			failures++
		}
	}
	if (err != nil) != (failures > 0) || len(rows) == 0 {
		r.Errorf("%v with %d failures in %d rows", err, failures, len(rows))
	}
	return rows, errs.String()
}

func rowsOf(out string) map[string]string {
	rows := map[string]string{}
	for line := range strings.Lines(out) {
		for _, check := range checks.All() {
			if rest, ok := strings.CutPrefix(line, check.Name+" "); ok {
				rows[check.Name] = strings.TrimSpace(rest)
			}
		}
	}
	return rows
}

// wantWell wants every row ok; what VS Code needs of the image is not asked of
// the machine that runs the tests.
func (r selftestRun) wantWell(rows map[string]string) {
	r.Helper()
	for _, c := range checks.All() {
		row := rows[c.Name]
		switch {
		case strings.HasPrefix(row, "ok "):
		case strings.HasPrefix(row, "failed") && strings.HasPrefix(c.Name, "VS Code: ") && c.Name != "VS Code: its way in":
		case strings.HasPrefix(row, "skipped") && os.Getenv("CI") != "true":
		default:
			r.Errorf("%s: %q", c.Name, row)
		}
	}
}

// wantFailures wants the rows with these names to have failed with these words
// in them, and no others.
func (r selftestRun) wantFailures(rows, want map[string]string) {
	r.Helper()
	for name, row := range rows {
		words, fails := want[name]
		if strings.HasPrefix(row, "failed") != fails || !strings.Contains(row, words) {
			r.Errorf("%s: %q, want failed %v: %q", name, row, fails, words)
		}
	}
	for name := range want {
		if rows[name] == "" {
			r.Errorf("%s: no such row", name)
		}
	}
}

func TestSelftestOfThisMachine(t *testing.T) {
	r := newSelftestRun(t, "  here: { route: local }")
	rows, _ := r.run("here")
	r.wantWell(rows)
}

func TestSelftestOfNoHost(t *testing.T) {
	r := newSelftestRun(t, "  here: { route: local }")
	for host, want := range map[string]string{
		"nowhere":  `gateway: host "nowhere" `,
		"no where": `gateway: "no where" is not a name`,
	} {
		out, err := r.command(host).CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v, %q", host, err, out)
		}
	}
}

// Ctrl-C leaves nothing behind, neither here nor in the host.
func TestSelftestInterrupted(t *testing.T) {
	r := newSelftestRun(t, "  here: { route: local }")
	command := r.command("here")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	there := readDirectory(out)
	if _, err := os.Stat(there); err != nil {
		t.Error(err)
	}
	command.Process.Signal(syscall.SIGINT)
	io.Copy(io.Discard, out)
	if err := command.Wait(); err == nil || stderr.String() != "gateway: the selftest was interrupted\n" {
		t.Errorf("%v, %q", err, &stderr)
	}
	if _, err := os.Stat(there); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %s (%v)", there, err)
	}
}

// readDirectory reads as far as the row that says where in the host is written.
func readDirectory(out io.Reader) string {
	var seen []byte
	for b := make([]byte, 1); ; seen = append(seen, b[0]) {
		if _, err := out.Read(b); err != nil {
			return ""
		}
		row := rowsOf(string(seen))["a directory to write to"]
		if fields := strings.Fields(row); b[0] == '\n' && len(fields) > 0 {
			return fields[len(fields)-1]
		}
	}
}

// brokenSshd serves the tests' own account, and hardly anything more.
const brokenSshd = `Port %d
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
AllowTcpForwarding no
AllowStreamLocalForwarding no
AllowAgentForwarding no
MaxSessions 10
`

func TestSelftestOfABrokenSshd(t *testing.T) {
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		harness.Missing(t, "there is no sshd")
	}
	if os.Getuid() == 0 { // sshd wants it then
		os.MkdirAll("/run/sshd", 0o755)
	}
	own, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	harness.WriteKey(t, filepath.Join(dir, "key"), 0o600)
	public := publicHalf(t, filepath.Join(dir, "key"))
	harness.Write(t, filepath.Join(dir, "key.pub"), 0o600, public+"\n")
	port := freePort(t)
	config := fmt.Sprintf(brokenSshd, port, filepath.Join(dir, "key"), filepath.Join(dir, "key.pub"))
	harness.Write(t, filepath.Join(dir, "sshd_config"), 0o600, config)
	entry := fmt.Sprintf("{ route: sshd, address: 127.0.0.1:%d, account: %s, key_file: %s/key, host_key: %s }", port, own.Username, dir, public)
	r := newSelftestRun(t, "  broken: "+entry)

	rows, stderr := r.run("broken")
	r.wantFailures(rows, map[string]string{"login": `host "broken" does not answer: nothing listens on its ssh port`})
	if stderr != "gateway: host \"broken\" failed 1 of 1 checks\n" {
		t.Errorf("%q", stderr)
	}

	server := exec.Command(sshd, "-D", "-f", filepath.Join(dir, "sshd_config"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer server.Process.Kill()
	harness.Eventually(t, "sshd answers", func() bool { return harness.Answers(fmt.Sprintf("127.0.0.1:%d", port)) })
	rows, _ = r.run("broken")
	r.wantFailures(rows, map[string]string{
		"environment":                   "AcceptEnv LANG LC_*",
		"60 sessions on one connection": "wanted 60 sessions, got 10",
		"scp, over sftp":                "Subsystem sftp internal-sftp",
		"sftp: put, get, rename, stat":  "Subsystem sftp internal-sftp",
		"sftp by OpenSSH":               "Subsystem sftp internal-sftp",
		"-L and -R with port 0":         "AllowTcpForwarding yes",
		"unix sockets both ways":        "AllowStreamLocalForwarding yes",
		"agent, 8 users at once":        "AllowAgentForwarding yes",
		"VS Code: its way in":           "AllowTcpForwarding yes",
	})
}

func publicHalf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// A container by both of its routes, and without what it had.
func TestSelftestOfContainers(t *testing.T) {
	base := os.Getenv("BERTH_BASE_IMAGE")
	if base == "" {
		harness.Missing(t, "BERTH_BASE_IMAGE names no image to make hosts from")
	}
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		harness.Missing(t, fmt.Sprintf("no engine answers: %s", out))
	}
	project := fmt.Sprintf("selftest-%d", os.Getpid())
	name := project + "-lab-1"
	r := newSelftestRun(t, "  lab: { route: exec, account: developer, container: "+name+" }")
	provision := filepath.Join(t.TempDir(), "provision")
	build(t, provision, "../cmd/provision")
	harness.Write(t, r.file("compose.yaml"), 0o600, "services: { lab: { init: true, x-berth: { host: "+project+", route: sshd } } }\n")
	t.Cleanup(func() { harness.Must(t, exec.Command(provision, "down", "--volumes", "-p", project, "--yes")) })
	harness.Must(t, exec.Command(provision, "up", "-p", project, "--state", r.file("state"), "--base", base, "-f", r.file("compose.yaml"), "--yes"))

	hosts := []string{project, "lab"} // by route sshd and exec
	run := func(host string) map[string]string {
		rows, _ := r.run("--account", "developer", host)
		return rows
	}
	for _, host := range hosts {
		r.wantWell(run(host))
	}
	stranger := newSelftestRun(t, "  lab: { route: sshd, account: developer, container: "+name+" }")
	rows, _ := stranger.run("lab")
	stranger.wantFailures(rows, map[string]string{"login": "does its sshd trust the gateway's user CA?"})

	harness.Must(t, exec.Command("docker", "exec", name, "rm", "/usr/bin/rsync", "/usr/bin/scp", "/usr/bin/stty"))
	for _, host := range hosts {
		rows := run(host)
		for check, words := range map[string]string{
			"rsync":                     "the image has no rsync: on Debian and Ubuntu: apt-get install rsync",
			"scp, old protocol":         "apt-get install openssh-client",
			"terminal changes its size": "apt-get install coreutils",
		} {
			if row := rows[check]; !strings.HasPrefix(row, "failed") || !strings.Contains(row, words) {
				t.Errorf("%s: %s: %q", host, check, row)
			}
		}
	}
	harness.Must(t, exec.Command("docker", "exec", name, "sh", "-c", "echo echo welcome >/home/developer/.zshenv"))
	for _, host := range hosts {
		r.wantFailures(run(host), map[string]string{"nothing but the command's output": "start-up files"})
	}
	harness.Must(t, exec.Command("docker", "exec", name, "usermod", "--shell", "/bin/nowhere", "developer"))
	for i, words := range []string{"does not let the gateway in as developer", "there is no /bin/nowhere here"} {
		r.wantFailures(run(hosts[i]), map[string]string{"login": words})
	}
}

func TestGrantedAccount(t *testing.T) {
	users := []auth.User{
		{Name: "a", Hosts: map[string]auth.Grant{"other": auth.GrantAccount("root")}},
		{Name: "b", Hosts: map[string]auth.Grant{"lab": auth.GrantAccount("developer")}},
		{Name: "c", Hosts: map[string]auth.Grant{"lab": auth.GrantAccount("root")}},
	}
	for host, want := range map[string]string{"lab": "developer", "other": "root", "none": ""} {
		if got := GrantedAccount(users, host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
