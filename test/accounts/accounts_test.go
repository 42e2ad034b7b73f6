package accounts

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// ground is a project whose host own makes an account for each person, by route
// exec, sshd does so by route sshd, and shared does not.
type ground struct {
	dir, project, base, key string
	gateway                 *harness.Gateway
}

func start(t *testing.T) ground {
	t.Helper()
	g := ground{dir: t.TempDir(), project: harness.HostName(fmt.Sprint(rand.IntN(1e9))), base: harness.BaseImage(t)}
	g.key = harness.MakeKey(t, g.dir, "id")
	g.write(t, "first")
	t.Cleanup(func() { harness.Must(t, g.provision("down", "--volumes")) })
	harness.Must(t, g.provision("up"))
	var users string
	for _, user := range []string{"anna", "ben"} {
		users += fmt.Sprintf("  %s: { keys: [ %s ], hosts: { %s-own: %[1]s, %[3]s-sshd: %[1]s, %[3]s-shared: %[1]s, %[3]s-stranger: %[1]s } }\n",
			user, harness.PublicKey(t, g.key), g.project)
	}
	g.gateway = harness.StartGateway(t, g.dir, "users:\n"+users)
	return g
}

func (g ground) write(t *testing.T, generation string) {
	t.Helper()
	harness.Write(t, filepath.Join(g.dir, "compose.yaml"), 0o644, strings.NewReplacer("P", g.project, "GENERATION", generation).Replace(`
x-all: &all {init: true, environment: {X: GENERATION}, volumes: ["work:/srv/shared"]}
services:
  own: {<<: *all, x-berth: {host: P-own, accounts: per-person}}
  sshd: {<<: *all, x-berth: {host: P-sshd, accounts: per-person, route: sshd, sudo: none}}
  shared: {<<: *all, x-berth: {host: P-shared}}
  stranger: {<<: *all, x-berth: {host: P-stranger, route: sshd}}
volumes: {work: {}}
`))
}

func (g ground) provision(verb string, args ...string) *exec.Cmd {
	return exec.Command(harness.Program("provision"), append([]string{
		verb, "-p", g.project, "--state", harness.StateOf(g.dir), "--base", g.base, "-f", filepath.Join(g.dir, "compose.yaml"), "--yes",
	}, args...)...)
}

func (g ground) enter(t *testing.T, user, service string) harness.Target {
	t.Helper()
	return g.gateway.Target(t, user+service, user+"+"+g.project+"-"+service, g.key)
}

func TestAccounts(t *testing.T) {
	harness.Need(t, "ssh", "ssh-keygen", "docker")
	g := start(t)
	anna, ben, bySshd := g.enter(t, "anna", "own"), g.enter(t, "ben", "own"), g.enter(t, "anna", "sshd")
	t.Run("an_account_is_made_at_the_first_login", func(t *testing.T) {
		for _, to := range []harness.Target{anna, bySshd} {
			to.Want(t, "ssh h 'id -un; id -gn; pwd; echo $HOME'", "anna\ndeveloper\n/home/anna\n/home/anna\n")
		}
		ben.Want(t, "ssh h 'id -un'", "ben\n")
	})
	t.Run("its_uid_is_its_own_and_the_same_everywhere", func(t *testing.T) {
		own, other, benAt := anna.Run(t, "ssh h id -u"), bySshd.Run(t, "ssh h id -u"), ben.Run(t, "ssh h id -u")
		if own.Stdout == "" || own != other || own == benAt {
			t.Errorf("anna is %q and %q, ben is %q", own.Stdout, other.Stdout, benAt.Stdout)
		}
	})
	t.Run("people_work_on_the_same_files", func(t *testing.T) {
		anna.Want(t, "ssh h 'echo by-anna > /srv/shared/file'", "")
		ben.Want(t, "ssh h 'echo by-ben >> /srv/shared/file && cat /srv/shared/file'", "by-anna\nby-ben\n")
	})
	t.Run("and_on_what_others_put_there_by_sftp", func(t *testing.T) {
		for _, from := range []harness.Target{anna, bySshd} {
			dir := "/srv/shared/" + from.Name
			from.Want(t, "umask 002; echo by-anna > file; printf 'mkdir "+dir+"\nput file "+dir+"/put\n' | sftp -q -b - h >/dev/null && scp -q file h:"+dir+"/copied", "")
			ben.Want(t, "ssh h 'for f in put copied new; do echo by-ben >> "+dir+"/$f; done; cat "+dir+"/*; stat -c %G "+dir+"/put'",
				"by-anna\nby-ben\nby-ben\nby-anna\nby-ben\ndeveloper\n")
		}
	})
	t.Run("what_one_writes_is_ones_own", func(t *testing.T) {
		anna.Want(t, "ssh h 'echo kept > mine && stat -c %U mine'", "anna\n")
	})
	t.Run("sudo_is_as_the_file_says", func(t *testing.T) {
		anna.Want(t, "ssh h 'sudo -n id -un'", "root\n")
		if got := bySshd.Run(t, "ssh h 'sudo -n id -un'"); got.Exit == 0 {
			t.Errorf("sudo: none lets anna be %q", got.Stdout)
		}
	})
	t.Run("peers_are_reached_as_oneself", func(t *testing.T) {
		anna.Want(t, "ssh h 'ssh sshd id -un'", "anna\n")
	})
	t.Run("elsewhere_a_line_says_that_it_is_not_there", func(t *testing.T) {
		for _, service := range []string{"shared", "stranger"} {
			to := g.enter(t, "anna", service)
			harness.Check(t, service, to.Run(t, "ssh h true"), harness.Result{
				Stderr: fmt.Sprintf("berth: host %q has no account anna\n", g.project+"-"+service), Exit: 255,
			})
		}
	})
	t.Run("attack_by_a_home_that_is_another's", func(t *testing.T) {
		// Who can write in /home could leave a home for a name that is granted later.
		harness.Must(t, exec.Command("docker", "exec", g.project+"-own-1", "mkdir", "/home/eve"))
		out, err := exec.Command("docker", "exec", g.project+"-own-1", "/usr/local/lib/berth/account.sh", "eve").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "/home/eve is another account's") {
			t.Errorf("root's home becomes eve's: %v, %s", err, out)
		}
		for _, name := range []string{"-u0", "../x", "a b", "a:0:0", ""} {
			if out, err := exec.Command("docker", "exec", g.project+"-own-1", "/usr/local/lib/berth/account.sh", name).CombinedOutput(); err == nil {
				t.Errorf("%q is an account now: %s", name, out)
			}
		}
	})
	t.Run("a_host_that_is_recreated_has_the_same_people", func(t *testing.T) {
		before := anna.Run(t, "ssh h id -u").Stdout
		g.write(t, "second")
		harness.Must(t, g.provision("up", "--force"))
		anna.Want(t, "ssh h 'id -u; cat mine; echo $X'", before+"kept\nsecond\n")
	})
}
