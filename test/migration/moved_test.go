package migration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// small makes the seed fit where tests run, on GPUs of its own all the same.
const small = `
services:
  master: &small { deploy: { resources: { limits: { cpus: '0.5', memory: 1G }, reservations: { cpus: '0.1', memory: 64M } } } }
  worker: *small
`

// entrypoint is what the seed's owners describe and do not show.
const entrypoint = `#!/bin/sh
printf 'root:%s\ndeveloper:%s\n' "$ROOT_PASSWORD" "$DEVELOPER_PASSWORD" | chpasswd
trap 'exit 0' TERM
while :; do sleep 1 & wait; done
`

// work is what people have in a container, everywhere.
const work = `umask 027
for dir in /root /home/developer /etc /etc/lab.d /opt /usr/local/bin /srv/data; do
	mkdir -p $dir && head -c 100000 /dev/urandom >$dir/work && ln -s work $dir/link
done
mkdir -p /home/developer/deep/er && date >/home/developer/deep/er/file
chown -R developer: /home/developer /srv/data
echo changed >>/etc/login.defs`

// kept says what is there of it: every byte, whose it is, and who may read it.
const kept = `for dir in /root /home/developer /etc /etc/lab.d /opt /usr/local/bin /srv/data; do
	stat -c '%U %a' $dir/work && readlink $dir/link && sha256sum $dir/work
done
sha256sum /home/developer/deep/er/file`

// seed is the reference project on a box with two GPUs, as docker compose runs it.
type seed struct {
	*engine.GPUBox
	dir  string // of the project
	home string // of the gateway, and its state

	image string // that its hosts are made from
}

// start has docker compose start the seed. The images of the seed are here what they
// are made from alone, since nothing is downloaded.
func start(t *testing.T) *seed {
	t.Helper()
	base := harness.BaseImage(t)
	s := &seed{GPUBox: engine.NewGPUBox(t, 2, "--storage-driver", "overlay2"), home: harness.OpenDir(t)}
	s.dir = filepath.Join(s.home, "seed")
	old := filepath.Join(s.home, "old")
	for _, dir := range []string{s.dir, old} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"docker-compose.yml", "Dockerfile"} {
		harness.Write(t, filepath.Join(s.dir, name), 0o644, harness.Read(t, "../../cmd/provision/testdata/seed/"+name))
	}
	harness.Write(t, filepath.Join(s.dir, "entrypoint.sh"), 0o755, entrypoint)
	harness.Write(t, filepath.Join(s.dir, "small.yaml"), 0o644, small)
	from := regexp.MustCompile(`FROM (\S+)`).FindStringSubmatch(harness.Read(t, filepath.Join(s.dir, "Dockerfile")))[1]
	s.bring(base)
	s.docker("tag", base, from)
	harness.Write(t, filepath.Join(old, "entrypoint.sh"), 0o755, entrypoint)
	harness.Write(t, filepath.Join(old, "Dockerfile"), 0o644, "FROM "+from+"\nRUN useradd -m developer\nCOPY entrypoint.sh /\nENTRYPOINT [\"/entrypoint.sh\"]\n")
	s.docker("build", "--network", "none", "-t", "seed_master", "-t", "seed_worker", "-t", "seed-master", "-t", "seed-worker", old)
	// To the docker-compose of old, a port 4432:22 without quotes is a number to the base of 60.
	quoted := regexp.MustCompile(`- (\d+:22)`).ReplaceAllString(harness.Read(t, filepath.Join(s.dir, "docker-compose.yml")), `- "$1"`)
	harness.Write(t, filepath.Join(old, "quoted.yml"), 0o644, quoted)
	harness.Must(t, s.DockerCompose("-p", "seed", "--project-directory", s.dir, "-f", filepath.Join(old, "quoted.yml"), "-f", filepath.Join(s.dir, "small.yaml"), "up", "-d"))
	return s
}

// bring brings an image from the engine that tests use.
func (s *seed) bring(image string) {
	s.Helper()
	harness.Must(s.T, exec.Command("bash", "-o", "pipefail", "-c", `docker save "$0" | docker -H "$1" load`, image, s.Address))
}

func (s *seed) docker(args ...string) string {
	s.Helper()
	return harness.Must(s.T, exec.Command("docker", append([]string{"-H", s.Address}, args...)...))
}

// in runs a script in a service's container as root, past the gateway.
func (s *seed) in(service, script string) string {
	s.Helper()
	name := strings.TrimSpace(s.docker("ps", "--format", "{{.Names}}", "--filter", "name=seed[-_]"+service+"[-_]1$"))
	return s.docker("exec", name, "sh", "-ec", script)
}

// provision is the program under test in the project's directory.
func (s *seed) provision(args ...string) *exec.Cmd {
	command := exec.Command(harness.Program("provision"), append(args, "--state", harness.StateOf(s.home), "--yes")...)
	command.Dir, command.Env = s.dir, s.Env()
	return command
}

// up is it for the files that import made, with a change.
func (s *seed) up(change string) *exec.Cmd {
	s.Helper()
	harness.Write(s.T, filepath.Join(s.dir, "change.yaml"), 0o644, change)
	return s.provision("up", "-f", "compose.yaml", "-f", "small.yaml", "-f", "change.yaml")
}

// hostImage makes the image that up would build, of the one that the engine which tests
// use has built from the same base.
func (s *seed) hostImage(base string) {
	s.Helper()
	missing := regexp.MustCompile(`build +image (\S+)`)
	plain := filepath.Join(s.home, "plain.yaml")
	harness.Write(s.T, plain, 0o644, "services: { plain: {} }\n")
	ref := missing.FindStringSubmatch(harness.Must(s.T, s.provision("plan", "-f", plain, "-p", "plain", "--base", base)))[1]
	harness.Must(s.T, exec.Command(harness.Program("provision"), "build", "-f", plain, "-p", "plain", "--base", base, "--state", filepath.Join(s.home, "builder")))
	s.bring(ref)
	for _, wanted := range missing.FindAllStringSubmatch(harness.Must(s.T, s.provision("plan", "-f", "compose.yaml", "-f", "small.yaml")), -1) {
		s.image = wanted[1]
		s.docker("tag", ref, s.image)
	}
}

// A project with people's files everywhere is imported and taken over by one up, and
// then changed again and again by runs that are killed: every byte stays.
func TestTheSeedIsMovedAndEveryByteStays(t *testing.T) {
	harness.Need(t, "ssh", "docker")
	s := start(t)
	had := map[string]string{}
	for _, service := range []string{"master", "worker"} {
		s.in(service, work)
		had[service] = s.in(service, kept)
	}
	unchanged := func() {
		t.Helper()
		for service, want := range had {
			if got := s.in(service, kept); got != want {
				t.Fatalf("%s has\n%s\nand had\n%s", service, got, want)
			}
		}
		held := s.Holders("seed")
		if running := strings.Fields(s.docker("ps", "-a", "--format", "{{.Names}}/{{.State}}")); len(held) != 2 || len(running) != 2 ||
			strings.Count(strings.Join(running, " "), "-1/running") != 2 {
			t.Fatalf("the containers are %v, and GPUs are held by %v", running, held)
		}
	}

	harness.Must(t, s.provision("import"))
	s.hostImage(harness.BaseImage(t))
	began := time.Now()
	said := harness.Must(t, s.up("services: {}\n"))
	took := time.Since(began)
	unchanged()
	for _, want := range []string{`seed.master.1: of \S+ written in it these are copied, in about \d+s:\n`, `\n97.7KiB /etc/lab.d/work\n`, `\n97.7KiB /srv/data/work\n`} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if got := s.in("master", "tail -n 1 /var/backups/berth/etc/login.defs; stat -c %a /var/backups/berth"); got != "changed\n700\n" {
		t.Errorf("what both images have: %q", got)
	}
	s.peopleLogIn(t)

	for i, change := range changes()[:harness.Load(3, 10)] {
		after := time.Duration(rand.Int64N(int64(took)))
		t.Logf("change %d, killed after %v: %s", i, after.Round(time.Millisecond), change)
		file := fmt.Sprintf("services: { master: { %[1]s }, worker: { %[1]s } }\nvolumes: { late: {} }\nnetworks: { more: {} }\n", change)
		s.killed(s.up(file), after, i%2 == 1)
		began := time.Now()
		harness.Must(t, s.up(file))
		took = max(took/2, time.Since(began))
		unchanged()
	}
	if plan := harness.Must(t, s.provision("plan", "-f", "compose.yaml", "-f", "small.yaml", "-f", "change.yaml")); !strings.HasSuffix(plan, "nothing to do\n") {
		t.Errorf("after all there is more to do:\n%s", plan)
	}
	s.peopleLogIn(t)
	s.upgrade(t, unchanged)
}

// upgrade takes a newer host image: nothing of the old one's containers can be carried
// over, so that is listed and asked about, and volumes stay.
func (s *seed) upgrade(t *testing.T, unchanged func()) {
	newer := filepath.Join(s.home, "newer.Dockerfile")
	harness.Write(t, newer, 0o644, "FROM "+s.image+"\nLABEL newer=yes\n")
	s.docker("build", "-q", "-t", s.image, "-f", newer, filepath.Dir(s.dir)+"/old")
	files := []string{"-f", "compose.yaml", "-f", "small.yaml", "-f", "change.yaml"}
	if plan := harness.Must(t, s.provision(append(files, "plan")...)); !strings.Contains(plan, "master: a newer host image is there: berth-provision up --upgrade recreates the host") {
		t.Errorf("the plan does not tell of the newer image:\n%s", plan)
	}
	ask := s.provision(append(files, "up", "--upgrade")...)
	ask.Args = slices.DeleteFunc(ask.Args, func(arg string) bool { return arg == "--yes" })
	said, err := ask.CombinedOutput()
	for _, want := range []string{"master.1: \\S+ written in it go:\n", "\n97.7KiB /etc/lab.d/work\n", "removes what was written in master, worker outside its volumes"} {
		if !regexp.MustCompile(want).Match(said) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if err == nil {
		t.Error("up --upgrade asks nothing")
	}
	unchanged()
	volumes := "sha256sum /root/work /home/developer/work /opt/work"
	before := s.in("master", volumes)
	harness.Must(t, s.provision(append(files, "up", "--upgrade")...))
	if after := s.in("master", volumes); after != before {
		t.Errorf("the volumes have\n%s\nand had\n%s", after, before)
	}
	if got := s.in("master", "ls /etc/lab.d 2>&1 || true"); !strings.Contains(got, "No such file") {
		t.Errorf("it is on the image of old: %s", got)
	}
}

// changes are of the kinds that people make.
func changes() []string {
	return []string{
		`environment: { A: one }`,
		`volumes: [ "late:/mnt/late" ]`,
		`networks: { primary_network: {}, more: {} }`,
		`shm_size: 1gb, environment: { A: two }`,
		`deploy: { resources: { limits: { memory: 900M } } }`,
		`hostname: renamed`,
		`labels: { mine: yes-it-is }, cap_add: [ SYS_PTRACE ]`,
		`restart: unless-stopped`,
		`ulimits: { nofile: 4096 }, environment: { A: three }`,
		`extra_hosts: [ "other:10.0.0.9" ]`,
	}
}

// killed runs a command and kills it after a time, if it still runs then; with what it
// has started, or without.
func (s *seed) killed(command *exec.Cmd, after time.Duration, all bool) {
	s.Helper()
	if err := command.Start(); err != nil {
		s.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		command.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(after):
	}
	started := children(command.Process.Pid)
	command.Process.Kill()
	<-ended
	for _, pid := range started {
		if all {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// children returns the processes that one has started.
func children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var all []int
	for _, file := range files {
		text, _ := os.ReadFile(file) // it may have ended
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// peopleLogIn enters the hosts as people do, by the passwords that they have always had.
func (s *seed) peopleLogIn(t *testing.T) {
	t.Helper()
	g := harness.StartGateway(t, s.home, "docker: "+s.Address+"\n"+harness.Read(t, filepath.Join(s.dir, "gateway.yaml")))
	for login, c := range map[string]struct{ password, command, want string }{
		"developer-master": {"brodpik", "id -un; ssh worker hostname; sudo -n true && echo root", "developer\nworker\nroot\n"},
		"developer-worker": {"gasherbroom", "id -un; ssh master hostname; sudo -n true && echo root", "developer\nmaster\nroot\n"},
		"root-master":      {"everest", "id -un; ssh worker id -un", "root\nroot\n"},
	} {
		out, err := byPassword(t, g, login, c.password, c.command).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: %q, %v, want %q", login, out, err, c.want)
		}
	}
}
