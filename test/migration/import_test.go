package migration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// A box with an ssh port and two passwords for each container, as people have
// it, is imported: what import prints and writes lets everybody in again, by
// the password of old, on the one port.
func TestImportedHostsAreEnteredByTheirPasswordsOfOld(t *testing.T) {
	harness.Need(t, "ssh", "docker")
	base := harness.BaseImage(t)
	home := t.TempDir()
	project := fmt.Sprintf("berth-import-%d", os.Getpid())
	dir := filepath.Join(home, project) // whose name is the project's
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Other tests' hosts have the names in the file, so these get their own.
	master, worker := project+"-a", project+"-b"
	rename := strings.NewReplacer("master", master, "worker", worker)
	for from, to := range map[string]string{
		"../../cmd/provision/testdata/seed/docker-compose.yml": "docker-compose.yml",
		"../../cmd/provision/testdata/seed/Dockerfile":         "Dockerfile",
		"../../configs/compose.small.yaml":                     "small.yaml",
	} {
		harness.Write(t, filepath.Join(dir, to), 0o644, rename.Replace(harness.Read(t, from)))
	}
	provision := func(args ...string) string {
		t.Helper()
		command := exec.Command(harness.Program("provision"), append(args, "--yes", "--base", base, "--state", harness.StateOf(home))...)
		command.Dir = dir
		return harness.Must(t, command)
	}
	table := provision("import")
	// The base that the file names is not here.
	harness.Write(t, filepath.Join(dir, "base.yaml"), 0o644, fmt.Sprintf(
		"services: { %[1]s: { x-berth: { base: %[3]q } }, %[2]s: { x-berth: { base: %[3]q } } }\n", master, worker, base))
	compose := []string{"-f", "compose.yaml", "-f", "small.yaml", "-f", "base.yaml"}
	t.Cleanup(func() {
		provision(append([]string{"down"}, compose...)...)
		harness.RemoveVolumes(t, project)
	})
	provision(append([]string{"up"}, compose...)...)
	if plan := provision(append([]string{"plan"}, compose...)...); !strings.HasSuffix(plan, "nothing to do\n") {
		t.Errorf("after up there is more to do:\n%s", plan)
	}
	back := exec.Command(harness.Program("provision"), "plan", "-f", "docker-compose.yml", "--base", base, "--state", harness.StateOf(home))
	back.Dir = dir
	if text, _ := back.CombinedOutput(); !strings.HasPrefix(string(text), "import made compose.yaml of this file, and this plan would undo that") {
		t.Errorf("the old file's plan begins:\n%s", text) // and may end with GPUs that are not there
	}

	g := harness.StartGateway(t, home, harness.Read(t, filepath.Join(dir, "gateway.yaml")))
	old := map[string]string{"root@" + master: "everest", "developer@" + master: "brodpik", "root@" + worker: "jomanlungma", "developer@" + worker: "gasherbroom"}
	rows := regexp.MustCompile(`ssh -p 44\d\d (\w+)@box +ssh -p 2222 (\S+)@box`).FindAllStringSubmatch(table, -1)
	if len(rows) != len(old) {
		t.Errorf("%d ways in, want %d:\n%s", len(rows), len(old), table)
	}
	for _, row := range rows {
		account, user, login := row[1], row[2], row[2] // each has one password, and so one host
		host := strings.TrimPrefix(user, account+"-")
		out, err := byPassword(t, g, login, old[account+"@"+host], "hostname; id -un; echo $BERTH_USER").Output()
		if want := host + "\n" + account + "\n" + user + "\n"; err != nil || string(out) != want {
			t.Errorf("%s: %q, %v, want %q", login, out, err, want)
		}
	}
	if out, err := byPassword(t, g, "root-"+master+"+"+master, "jomanlungma", "id").Output(); err == nil {
		t.Errorf("the worker's password opens the master: %s", out)
	}
}

// byPassword runs ssh, which asks a program for the password, as it does
// without a terminal.
func byPassword(t *testing.T, g *harness.Gateway, login, password, command string) *exec.Cmd {
	t.Helper()
	host, port, _ := strings.Cut(g.Address, ":")
	asked := filepath.Join(t.TempDir(), "askpass")
	harness.Write(t, asked, 0o700, "#!/bin/sh\necho '"+password+"'\n")
	ssh := exec.Command("ssh", "-F", "none", "-p", port, "-l", login, "-o", "UserKnownHostsFile="+g.KnownHosts(),
		"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1", host, command)
	ssh.Env = append(os.Environ(), "SSH_ASKPASS="+asked, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none")
	return ssh
}
