package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// ground is two projects: one whose hosts are peers, but for lone, and one
// whose host comes on the same network, as a neighbour who attacks.
type ground struct {
	project string
	dir     string
	gateway *harness.Gateway
	key     string
	base    string
}

// TestPeers tries how the hosts of one project reach each other by ssh, and who
// must not.
func TestPeers(t *testing.T) {
	harness.Need(t, "ssh", "ssh-keygen", "docker")
	g := startPeers(t)
	byExec, bySshd := g.enter(t, "master"), g.enter(t, "worker")
	for name, from := range map[string]struct {
		to   harness.Target
		peer string
	}{"from_route_exec": {byExec, "worker"}, "from_route_sshd": {bySshd, "master"}} {
		t.Run(name, func(t *testing.T) {
			from.to.Want(t, "ssh h 'ssh "+from.peer+" hostname'", g.host(from.peer)+"\n")
			from.to.Want(t, `ssh h "ssh `+from.peer+` 'id -un; echo \$CUDA_HOME \$BERTH_USER; tool'"`, "developer\n/usr/local/cuda-test dev\nthe tool\n")
			from.to.Want(t, "ssh h 'NCCL_DEBUG=INFO ssh "+from.peer+" printenv NCCL_DEBUG'", "INFO\n")
			from.to.Want(t, "ssh h 'echo x | ssh "+from.peer+" cat && scp -q /etc/hostname "+from.peer+":/tmp/peer && ssh "+from.peer+" cat /tmp/peer'", "x\n"+g.host(map[string]string{"worker": "master", "master": "worker"}[from.peer])+"\n")
		})
	}
	for name, to := range map[string]harness.Target{"by_route_exec": byExec, "by_route_sshd": bySshd} {
		t.Run("ssh-copy-id_does_not_lie_"+name, func(t *testing.T) { doesNotLie(t, to) })
	}
	t.Run("keys_of_ones_own_still_work", func(t *testing.T) { g.ownKeysWork(t, byExec) })
	t.Run("roots_of_peers", func(t *testing.T) {
		harness.Check(t, "root to root", g.in(t, "root", "master", "ssh worker id -un"), harness.Result{Stdout: "root\n"})
		got := g.in(t, "root", "master", `echo key | ssh worker "exec sh -c 'cat >> .ssh/authorized_keys'"`) // by bash, and not by zsh
		if got.Exit == 0 || !strings.Contains(got.Stderr, "gateway.yaml") {
			t.Errorf("ssh-copy-id to root: exit %d, stderr %s", got.Exit, got.Stderr)
		}
	})
	t.Run("attacks", g.attacks)
	t.Run("a_host_that_is_recreated_is_a_peer_again", func(t *testing.T) {
		harness.Write(t, filepath.Join(g.dir, "compose.yaml"), 0o644, g.compose("more"))
		harness.Must(t, g.provision("up", g.project))
		byExec.Want(t, "ssh h 'ssh worker printenv GENERATION'", "more\n")
		bySshd.Want(t, "ssh h 'ssh master printenv GENERATION'", "more\n")
	})
	t.Run("the_secret_goes_with_the_project", func(t *testing.T) {
		harness.Must(t, exec.Command("docker", "network", "disconnect", g.project+"_default", g.project+"-other-stranger-1"))
		harness.Must(t, g.provision("down", g.project))
		volume := g.project + ".peers"
		harness.Must(t, exec.Command("docker", "volume", "inspect", volume))
		harness.Must(t, g.provision("down", g.project, "--volumes"))
		if exec.Command("docker", "volume", "inspect", volume).Run() == nil {
			t.Errorf("down --volumes leaves %s", volume)
		}
	})
}

func (g ground) host(service string) string { return g.project + "-" + service }

// compose is the project's file. The tool is on the PATH that the file sets.
func (g ground) compose(generation string) string {
	service := fmt.Sprintf(`init: true, environment: { GENERATION: %s, CUDA_HOME: /usr/local/cuda-test, PATH: "/opt/tool:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }, volumes: [ "%s:/opt/tool:ro" ]`,
		generation, filepath.Join(g.dir, "tool"))
	return fmt.Sprintf(`services:
  master: { %[1]s, x-berth: { host: %[2]s-master, sudo: none } }
  worker: { %[1]s, x-berth: { host: %[2]s-worker, route: sshd } }
  lone: { x-berth: { host: %[2]s-lone, peers: false } }
`, service, g.project)
}

func startPeers(t *testing.T) ground {
	t.Helper()
	g := ground{project: fmt.Sprintf("berth-peers-%d", os.Getpid()), dir: t.TempDir(), base: harness.BaseImage(t)}
	g.key = harness.MakeKey(t, g.dir, "id")
	harness.Must(t, exec.Command("chmod", "755", g.dir))
	if err := os.Mkdir(filepath.Join(g.dir, "tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.Write(t, filepath.Join(g.dir, "tool", "tool"), 0o755, "#!/bin/sh\necho the tool\n")
	harness.Write(t, filepath.Join(g.dir, "compose.yaml"), 0o644, g.compose("first"))
	other := g.project + "-other"
	harness.Write(t, filepath.Join(g.dir, other+".yaml"), 0o644, "services: { stranger: { x-berth: { host: "+other+"-stranger } } }\n")
	for _, project := range []string{g.project, other} {
		t.Cleanup(func() { harness.Must(t, g.provision("down", project, "--volumes")) })
		harness.Must(t, g.provision("up", project))
	}
	harness.Must(t, exec.Command("docker", "network", "connect", "--alias", "stranger", g.project+"_default", other+"-stranger-1"))
	t.Cleanup(func() { // a network that somebody is on stays
		exec.Command("docker", "network", "disconnect", g.project+"_default", other+"-stranger-1").Run()
	})
	g.gateway = harness.StartGateway(t, g.dir, fmt.Sprintf("users:\n  dev: { keys: [ %s ], hosts: { %s: developer, %s: developer } }\n",
		harness.PublicKey(t, g.key), g.host("master"), g.host("worker")))
	return g
}

func (g ground) provision(verb, project string, args ...string) *exec.Cmd {
	file := filepath.Join(g.dir, "compose.yaml")
	if project != g.project {
		file = filepath.Join(g.dir, project+".yaml")
	}
	return exec.Command(harness.Program("provision"), append([]string{
		verb, "-p", project, "--state", harness.StateOf(g.dir), "--base", g.base, "-f", file, "--yes",
	}, args...)...)
}

func (g ground) enter(t *testing.T, service string) harness.Target {
	t.Helper()
	return g.gateway.Target(t, service, "dev+"+g.host(service), g.key)
}

// in runs a command in a container of the project as an account, past the gateway.
func (g ground) in(t *testing.T, account, service, command string) harness.Result {
	t.Helper()
	return asAccount(t, account, g.project+"-"+service+"-1", command)
}

func asAccount(t *testing.T, account, container, command string) harness.Result {
	t.Helper()
	to := exec.Command("docker", "exec", "-u", account, container, "sh", "-c", command)
	var stdout, stderr strings.Builder
	to.Stdout, to.Stderr = &stdout, &stderr
	to.Run()
	return harness.Result{Stdout: stdout.String(), Stderr: stderr.String(), Exit: to.ProcessState.ExitCode()}
}

// doesNotLie: what ssh-copy-id would write opens nothing, so it must fail and say
// where keys go.
func doesNotLie(t *testing.T, to harness.Target) {
	harness.Need(t, "ssh-copy-id")
	got := to.Run(t, `ssh-keygen -q -t ed25519 -N "" -f key && ssh-copy-id -f -i key.pub h`)
	if got.Exit == 0 || !strings.Contains(got.Stderr, "they belong into the gateway's gateway.yaml") {
		t.Errorf("exit %d, stdout %s, stderr %s", got.Exit, got.Stdout, got.Stderr)
	}
	to.Want(t, `ssh h 'cat ~/.ssh/authorized_keys 2>/dev/null | wc -l'`, "0\n")
}

// ownKeysWork: a key in ~/.ssh opens a server that knows it, also under a name
// that a peer could have. The server stands in the container itself.
func (g ground) ownKeysWork(t *testing.T, to harness.Target) {
	to.Want(t, `ssh h 'mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t rsa -N "" -f ~/.ssh/id_rsa </dev/null && cp ~/.ssh/id_rsa.pub ~/.ssh/allowed &&
		ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/hostkey </dev/null &&
		/usr/sbin/sshd -f /dev/null -p 2200 -h ~/.ssh/hostkey -o AuthorizedKeysFile=.ssh/allowed -o PidFile=/tmp/own.pid -o StrictModes=no -o AddressFamily=inet'`, "")
	defer to.Want(t, `ssh h 'kill $(cat /tmp/own.pid)'`, "") // or somebody is on the host
	to.Want(t, `ssh h 'ssh -p 2200 -o BatchMode=yes -o LogLevel=ERROR -o StrictHostKeyChecking=no localhost echo in'`, "in\n")
}

// attacks are what must fail, each told by its name.
func (g ground) attacks(t *testing.T) {
	const blind = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
	const shown = blind + "-i /run/berth/peers/developer/id_ed25519 -o CertificateFile=/run/berth/peers/developer/id_ed25519-cert.pub "
	stranger := g.project + "-other-stranger-1"
	harness.Check(t, "another account", g.in(t, "root", "worker", "useradd --create-home other"), harness.Result{})
	for name, try := range map[string]struct{ account, container, command, denied string }{
		"developer_opens_no_root":             {"developer", g.project + "-master-1", blind + "root@worker id", "Permission denied"},
		"developers_certificate_is_no_root's": {"developer", g.project + "-master-1", shown + "root@worker id", "Permission denied"},
		"developer_opens_no_other_account":    {"developer", g.project + "-master-1", shown + "other@worker id", "Permission denied"},
		"developer_reads_no_key_of_root":      {"developer", g.project + "-master-1", "cat /run/berth/peers/root/id_ed25519", "Permission denied"},
		"developer_reads_no_ca":               {"developer", g.project + "-master-1", "cat /var/lib/berth/peers/ca", "Permission denied"},
		"another_account_is_no_peer":          {"other", g.project + "-worker-1", shown + "developer@master id", "Permission denied"},
		"another_project's_developer":         {"developer", stranger, blind + "worker id", "Permission denied"},
		"another_project's_root":              {"root", stranger, blind + "root@worker id", "Permission denied"},
		"into_another_project":                {"developer", g.project + "-master-1", blind + "stranger id", "Permission denied"},
		"another_project_is_not_known":        {"developer", g.project + "-master-1", "ssh -o BatchMode=yes stranger id", "Host key verification failed"},
		"out_of_a_host_without_peers":         {"developer", g.project + "-lone-1", blind + "worker id", "Permission denied"},
		"into_a_host_without_peers":           {"developer", g.project + "-master-1", blind + "lone id", "Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			got := asAccount(t, try.account, try.container, try.command)
			if got.Exit == 0 || got.Stdout != "" || !strings.Contains(got.Stderr, try.denied) {
				t.Errorf("exit %d, stdout %q, stderr %q: want %q", got.Exit, got.Stdout, got.Stderr, try.denied)
			}
		})
	}
	t.Run("the_ca_speaks_for_no_host_elsewhere", func(t *testing.T) {
		// What root of a host could sign for any name is believed for a peer's only.
		for name, believed := range map[string]bool{"worker": true, "172.17.0.9": true, "github.com": false, "gpu-box.example": false, "8.8.8.8": false} {
			got := g.in(t, "developer", "master", "ssh -G "+name+" | grep ^globalknownhostsfile; ssh-keygen -F "+name+" -f /run/berth/peers/known_hosts")
			if strings.Contains(got.Stdout, "cert-authority") != believed || strings.Contains(got.Stdout, "/run/berth/peers/known_hosts") != believed {
				t.Errorf("%s: %q", name, got.Stdout)
			}
		}
	})
}
