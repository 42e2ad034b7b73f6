package install

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestService restarts, upgrades, stops and purges the package under a real
// systemd: a session and whoever comes notice nothing until the package is gone.
func TestService(t *testing.T) {
	harness.Need(t, "docker", "dpkg-deb", "ssh", "ssh-keygen")
	s := startSystemd(t)
	s.wantMetrics(t)
	s.wantUnits(t)
	to := s.door(t)
	for _, change := range []string{"systemctl restart berth-gateway", "cd /packages && dpkg -i berth_*.deb"} {
		client, before := to.StartCat(t), s.mainPID(t)
		coming := to.Start(t, "for i in 1 2 3; do ssh -n h echo in 2>&1 || echo refused; done; exec cat")
		s.run(t, change)
		if s.mainPID(t) == before {
			t.Errorf("%s: it is the same process", change)
		}
		for range 3 {
			if line := coming.ReadLine(t); line != "in" {
				t.Errorf("%s: who comes meanwhile is told %q", change, line)
			}
		}
		client.WantLine(t, "after "+change)
		client.Kill()
		s.run(t, "test -S "+metricsSocket)
	}
	s.wantNoUpgradeIntoNothing(t, to)
	s.wantRestartsOneAfterTheOther(t, to)
	client := to.StartCat(t)
	s.run(t, "systemctl stop berth-gateway")
	client.WantLine(t, "after a stop")
	s.run(t, "systemctl start berth-gateway && systemctl reload berth-gateway")
	client.WantLine(t, "after a start and a reload")
	client.Kill()
	s.wantSocketUnit(t, to)
	client = to.StartCat(t)
	s.run(t, "apt-get purge -y berth")
	if status := client.Wait(t); status != 255 {
		t.Errorf("a session of a gateway that is gone: exit %d", status)
	}
	for _, unit := range []string{"berth-metrics", "berth-gateway.socket", "berth-gateway"} {
		if state := s.run(t, "systemctl is-active "+unit+" || true"); state != "inactive\n" {
			t.Errorf("a purge leaves %s %s", unit, state)
		}
	}
	if left := s.run(t, "ls -d /etc/berth /var/lib/berth /var/log/berth /run/berth 2>/dev/null; getent passwd berth-front || true"); left != "" {
		t.Errorf("a purge leaves %s", left)
	}
}

// wantNoUpgradeIntoNothing wants a package whose version refuses the configuration to
// leave the former one as it is.
func (s systemd) wantNoUpgradeIntoNothing(t *testing.T, to harness.Target) {
	t.Helper()
	const file = "/etc/berth/gateway.yaml"
	before := s.mainPID(t)
	s.run(t, "cp -p "+file+" /root/saved && echo 'nonsense: 1' >>"+file)
	if out := s.run(t, "cd /packages && dpkg -i berth_*.deb"); !strings.Contains(out, "The gateway is not restarted, and the former version goes on") {
		t.Errorf("an upgrade to a version that refuses %s says\n%s", file, out)
	}
	to.Want(t, "ssh -n h echo in", "in\n")
	if s.mainPID(t) != before {
		t.Error("the former version does not go on")
	}
	s.run(t, "cp -p /root/saved "+file)
}

// wantRestartsOneAfterTheOther wants restarts in a hurry, some before the one before is
// done, to disturb nobody, and the service to run afterwards.
func (s systemd) wantRestartsOneAfterTheOther(t *testing.T, to harness.Target) {
	t.Helper()
	client := to.StartCat(t)
	s.run(t, "for i in 1 2 3 4 5 6 7 8; do systemctl restart --no-block berth-gateway; sleep 0.$i; done; systemctl restart berth-gateway")
	to.Want(t, "ssh -n h echo in", "in\n")
	client.WantLine(t, "after nine restarts")
	client.Kill()
}

// metricsSocket is where the gateway's metrics are, as docs/metrics.md shows it.
const metricsSocket = "/run/berth/metrics.sock"

// systemd is a Debian that systemd runs, with the package and a host.
type systemd struct{ name, web, key, dir string }

func startSystemd(t *testing.T) systemd {
	t.Helper()
	s := systemd{name: "berth-" + harness.Mark(), web: "web-" + harness.Mark(), dir: t.TempDir()}
	s.key = harness.MakeKey(t, s.dir, "id")
	packages := packageHere(t, s.dir)
	base, socket := harness.BaseImage(t), harness.EngineSocket(t)
	t.Cleanup(func() { exec.Command("docker", "rm", "-f", s.name, s.web).Run() })
	harness.Must(t, exec.Command("docker", "run", "-d", "--name", s.web, base, "sleep", "1000000"))
	harness.Must(t, exec.Command("docker", "run", "-d", "--name", s.name, "--cap-add", "SYS_ADMIN",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--cgroupns=host",
		"-v", "/sys/fs/cgroup:/sys/fs/cgroup", "--tmpfs", "/run:exec", "--tmpfs", "/run/lock", "--tmpfs", "/tmp",
		"-v", socket+":/var/run/docker.sock", "-v", packages+":/packages:ro", systemdImage(t, base), "/sbin/init"))
	up := func() bool {
		out, _ := s.in("systemctl is-system-running").Output()
		return strings.HasPrefix(string(out), "running") || strings.HasPrefix(string(out), "degraded")
	}
	if !comesUp(t, s.name, up) {
		harness.Missing(t, "systemd does not run in a container here")
	}
	s.run(t, "cd /packages && dpkg -i berth_*.deb")
	s.run(t, fmt.Sprintf(`umask 077; echo 'users: { dev: { keys: [ %s ], hosts: { web: } } }
hosts: { web: { route: exec, container: %s } }' >/etc/berth/gateway.yaml`, harness.PublicKey(t, s.key), s.web))
	s.run(t, "echo 'metrics: unix:"+metricsSocket+"' >>/etc/berth/gateway.yaml && systemctl enable --now berth-gateway")
	return s
}

// comesUp waits until systemd is up, or its container has ended.
func comesUp(t *testing.T, name string, up func() bool) bool {
	t.Helper()
	ended := func() bool {
		out, err := exec.Command("docker", "inspect", "-f", "{{.State.Running}}", name).Output()
		return err != nil || strings.TrimSpace(string(out)) != "true"
	}
	harness.Eventually(t, "systemd is up, or cannot be", func() bool { return up() || ended() })
	return up()
}

// systemdImage is the base image with systemd, which is kept for the next time.
func systemdImage(t *testing.T, base string) string {
	t.Helper()
	const tag = "berth-test/systemd"
	build := exec.Command("docker", "build", "--network", "host", "-t", tag, "-")
	build.Stdin = strings.NewReader("FROM " + base + "\nRUN apt-get update && apt-get install -y --no-install-recommends systemd systemd-sysv openssh-client && rm -rf /var/lib/apt/lists/*\n")
	if out, err := build.CombinedOutput(); err != nil {
		harness.Missing(t, "no image with systemd can be made: "+string(out))
	}
	return tag
}

func (s systemd) in(command string) *exec.Cmd {
	return exec.Command("docker", "exec", s.name, "bash", "-c", command)
}

func (s systemd) run(t *testing.T, command string) string {
	t.Helper()
	return harness.Must(t, s.in(command))
}

// wantMetrics wants the unit of the box's metrics to see the engine.
func (s systemd) wantMetrics(t *testing.T) {
	t.Helper()
	s.run(t, "systemctl enable --now berth-metrics")
	ask := "exec 3<>/dev/tcp/127.0.0.1/9223 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
	var told []byte
	harness.Eventually(t, "the box's metrics are served", func() bool {
		var err error
		told, err = s.in(ask).CombinedOutput()
		return err == nil
	})
	for _, line := range []string{"berth_box_up 1\n", "berth_box_gpus_counted 1\n"} {
		if !strings.Contains(string(told), line) {
			t.Errorf("no %q in %s\n%s", line, told, s.run(t, "journalctl -u berth-metrics --no-pager | tail -20"))
		}
	}
}

// wantSocketUnit wants systemd to listen for the gateway: whoever comes while that is
// stopped waits, and starts it, and a restart refuses nobody.
func (s systemd) wantSocketUnit(t *testing.T, to harness.Target) {
	t.Helper()
	s.run(t, "systemctl stop berth-gateway")
	harness.Eventually(t, "the port is systemd's", func() bool { // a stopped gateway keeps it for a while
		return s.in("systemctl enable --now berth-gateway.socket").Run() == nil
	})
	if state := s.run(t, "systemctl is-active berth-gateway || true"); state != "inactive\n" {
		t.Errorf("the socket unit alone, and the gateway is %s", state)
	}
	client := to.StartCat(t)
	client.WantLine(t, "who comes starts it")
	for range 3 {
		coming := to.Start(t, "ssh -n h echo in 2>&1 || echo refused")
		s.run(t, "systemctl restart berth-gateway")
		if line := coming.ReadLine(t); line != "in" {
			t.Errorf("who comes during a restart is told %q", line)
		}
		coming.Kill()
	}
	client.WantLine(t, "after three restarts")
	client.Kill()
	s.run(t, "systemctl stop berth-gateway")
	to.StartCat(t).WantLine(t, "who comes after a stop starts it")
}

// wantUnits wants systemd to find no fault in the units, and them to be shut off as
// docs/security.md says: by systemd-analyze, in tenths from 0 to 100.
func (s systemd) wantUnits(t *testing.T) {
	t.Helper()
	for unit, exposure := range map[string]string{"berth-gateway": "32", "berth-metrics": "21"} {
		file := "/usr/lib/systemd/system/" + unit + ".service"
		if faults := s.run(t, "systemd-analyze verify --man=no /usr/lib/systemd/system/"+unit+".* 2>&1"); faults != "" {
			t.Errorf("%s: %s", unit, faults)
		}
		if out, err := s.in("systemd-analyze security --no-pager --offline=true --threshold=" + exposure + " " + file).CombinedOutput(); err != nil {
			t.Errorf("%s is exposed more than %s tenths: %s", unit, exposure, out)
		}
	}
}

func (s systemd) mainPID(t *testing.T) string {
	t.Helper()
	return s.run(t, "systemctl show -p MainPID --value berth-gateway")
}

// door is the gateway's, for the host.
func (s systemd) door(t *testing.T) harness.Target {
	t.Helper()
	address := harness.Container{Name: s.name}.Address(t)
	known := filepath.Join(s.dir, "known_hosts")
	hostKey := harness.Must(t, exec.Command("docker", "exec", s.name, "ssh-keygen", "-y", "-f", "/var/lib/berth/ssh_host_ed25519_key"))
	harness.Write(t, known, 0o600, "["+address+"]:2222 "+hostKey)
	return harness.NewTarget(t, s.dir, "service", harness.Door{Address: address + ":2222", Login: "dev+web", Key: s.key, KnownHosts: known})
}
