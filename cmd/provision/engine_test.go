package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"berth/docker"
	"berth/provision/apply"
	"berth/provision/plan"
	"berth/state"
)

// lab is a project on a real engine. It leaves nothing behind but the host
// image, which the next test wants again.
type lab struct {
	*testing.T
	api     *client.Client
	project string
	state   string
}

func newLab(t *testing.T) lab {
	t.Helper()
	if os.Getenv("BERTH_BASE_IMAGE") == "" {
		missing(t, "BERTH_BASE_IMAGE names no image to make hosts from")
	}
	api, err := docker.Dial(t.Context(), docker.Address{})
	if err != nil {
		missing(t, err.Error())
	}
	l := lab{t, api.Client, "pt" + strings.ToLower(rand.Text()[:8]), filepath.Join(t.TempDir(), "state")}
	t.Cleanup(l.clear)
	return l
}

// missing skips a test for want of something that CI must have.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// run is provision with these arguments; its output, and its error as a person
// would read it.
func (l lab) run(args ...string) (string, error) {
	var out bytes.Buffer
	root := command()
	root.SetOut(&out)
	root.SetArgs(append(args, "-p", l.project, "--state", l.state))
	err := root.ExecuteContext(l.Context())
	return out.String(), err
}

func (l lab) mustRun(args ...string) string {
	l.Helper()
	out, err := l.run(args...)
	if err != nil {
		l.Fatalf("provision %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// file writes a compose file whose hosts have names that no other project has.
func (l lab) file(text string) string {
	l.Helper()
	var file map[string]any
	if err := yaml.Load([]byte(text), &file); err != nil {
		l.Fatal(err)
	}
	services, _ := file["services"].(map[string]any)
	for name, value := range services {
		service, _ := value.(map[string]any)
		if service == nil {
			service = map[string]any{}
		}
		ours, _ := service["x-berth"].(map[string]any)
		if ours == nil {
			ours = map[string]any{}
		}
		ours["host"] = l.host(name)
		service["x-berth"], services[name] = ours, service
	}
	named, err := yaml.Marshal(file)
	if err != nil {
		l.Fatal(err)
	}
	path := filepath.Join(l.TempDir(), "compose.yaml")
	if err := os.WriteFile(path, named, 0o644); err != nil {
		l.Fatal(err)
	}
	return path
}

// host is the name of a service's host.
func (l lab) host(service string) string { return service + "-" + l.project }

func (l lab) inspect(service string) container.InspectResponse {
	l.Helper()
	result, err := l.api.ContainerInspect(l.Context(), l.project+"-"+service+"-1", client.ContainerInspectOptions{})
	if err != nil {
		l.Fatal(err)
	}
	return result.Container
}

func (l lab) clear() {
	ctx := context.Background() // the test's own has ended
	have, err := apply.Observe(ctx, l.api, nil)
	if err != nil {
		l.Error(err)
	}
	e := &apply.Executor{API: l.api, Progress: &apply.Progress{}}
	if err := e.Apply(ctx, plan.Down(l.project, have, true)); err != nil {
		l.Error(err)
	}
	images, err := l.api.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", l.project+"-*")})
	if err != nil {
		l.Error(err)
	}
	for _, i := range images.Items {
		if _, err := l.api.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true}); err != nil {
			l.Error(err)
		}
	}
}

func TestUpMakesTheSeedsHostsOnASmallMachine(t *testing.T) {
	l := newLab(t)
	seed := []string{"-f", "testdata/seed/docker-compose.yml", "-f", "../../configs/compose.small.yaml", "-f", l.file("services: {master: {hostname: master}, worker: {}}")}
	l.mustRun(append([]string{"up"}, seed...)...)

	c := l.inspect("master")
	if h := c.HostConfig; h.NanoCPUs != 1e9 || h.Memory != 1<<30 || h.MemoryReservation != 256<<20 || h.RestartPolicy.Name != "always" {
		t.Errorf("limits and restart policy: %d nano cpus, %d and %d bytes, %s", h.NanoCPUs, h.Memory, h.MemoryReservation, h.RestartPolicy.Name)
	}
	if len(c.NetworkSettings.Networks) != 1 || c.NetworkSettings.Networks[l.project+"_primary_network"] == nil {
		t.Errorf("networks: %v", c.NetworkSettings.Networks)
	}
	for port, bindings := range c.NetworkSettings.Ports {
		if len(bindings) > 0 {
			t.Errorf("port %s is published", port)
		}
	}
	var mounts []string
	for _, m := range c.Mounts {
		mounts = append(mounts, m.Destination)
	}
	slices.Sort(mounts)
	if want := []string{"/opt", "/usr/lib/berth", "/var/lib/berth/host_keys", "/var/lib/berth/peers"}; !slices.Equal(mounts, want) {
		t.Errorf("mounts: got %v, want %v", mounts, want)
	}
	if got := l.ssh("master", "developer", "hostname; echo $TZ; id -un"); got != "master\nUTC\ndeveloper\n" {
		t.Errorf("over ssh: %q", got)
	}

	if out := l.mustRun(append([]string{"up"}, seed...)...); !strings.Contains(out, "nothing to do") || l.inspect("master").ID != c.ID {
		t.Errorf("a second up found something to do:\n%s", out)
	}
	keys := l.hostKeys("master")
	l.mustRun(append([]string{"up", "--yes", "--force", "-f", l.file("services: {master: {environment: {A: new}}}")}, seed...)...)
	if again := l.hostKeys("master"); again != keys || l.inspect("master").ID == c.ID {
		t.Errorf("host keys of master changed: %s, before %s", again, keys)
	}
	if out := l.mustRun("ps"); strings.Count(out, "running") != 2 {
		t.Errorf("ps:\n%s", out)
	}

	if out, err := l.run("down"); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("down without a terminal asked nothing: %v\n%s", err, out)
	}
	l.mustRun("down", "--yes")
	have, err := apply.Observe(t.Context(), l.api, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := have.Container(l.project + "-master-1"); there || len(plan.Labelled(have.Networks, l.project)) > 0 {
		t.Error("down left a container or a network")
	}
	if len(plan.Labelled(have.Volumes, l.project)) != 5 {
		t.Error("down took the volumes")
	}
	if out, err := l.run("down", "--volumes"); err == nil || !strings.Contains(err.Error(), "with their data") {
		t.Errorf("down --volumes without a terminal asked nothing: %v\n%s", err, out)
	}
	l.mustRun("down", "--volumes", "--yes")
	if have, err = apply.Observe(t.Context(), l.api, nil); err != nil || len(plan.Labelled(have.Volumes, l.project)) > 0 {
		t.Errorf("down --volumes left a volume: %v", err)
	}
}

// ssh logs in as the gateway does: by a certificate that the user CA signs.
func (l lab) ssh(service, account, command string) string {
	l.Helper()
	st, err := state.Open(l.state)
	if err != nil {
		l.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		l.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		l.Fatal(err)
	}
	certificate := &ssh.Certificate{
		Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "test", ValidPrincipals: []string{account},
		ValidBefore: uint64(time.Now().Add(time.Minute).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	if err := certificate.SignCert(rand.Reader, st.UserCA()); err != nil {
		l.Fatal(err)
	}
	certified, err := ssh.NewCertSigner(certificate, signer)
	if err != nil {
		l.Fatal(err)
	}
	var address string
	for _, n := range l.inspect(service).NetworkSettings.Networks {
		address = net.JoinHostPort(n.IPAddress.String(), "22")
	}
	conn, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: account, Auth: []ssh.AuthMethod{ssh.PublicKeys(certified)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second,
	})
	if err != nil {
		l.Fatal(err)
	}
	defer conn.Close()
	session, err := conn.NewSession()
	if err != nil {
		l.Fatal(err)
	}
	out, err := session.Output(command)
	if err != nil {
		l.Fatal(err)
	}
	return string(out)
}

func (l lab) hostKeys(service string) string {
	l.Helper()
	return l.ssh(service, "developer", "cat /etc/ssh/ssh_host_*_key.pub")
}

func TestUpMakesAnewWhatChangedButNotUnasked(t *testing.T) {
	l := newLab(t)
	compose := func(greeting string) string {
		return l.file(`
services:
  own:
    build: {dockerfile_inline: "FROM ` + os.Getenv("BERTH_BASE_IMAGE") + `\nUSER nobody\nCMD [\"sleep\", \"1000\"]"}
    environment: {GREETING: ` + greeting + `}
    stop_grace_period: 0s
    networks: [near, far]
networks: {near: , far: }
`)
	}
	out := l.mustRun("up", "-f", compose("hello"))
	if row := []string{l.host("own"), "exec", "nobody", l.project + "-own-1"}; !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(row, " ")) {
		t.Errorf("no row %v in\n%s", row, out)
	}
	if got := len(l.inspect("own").NetworkSettings.Networks); got != 2 {
		t.Errorf("on %d networks, want 2", got)
	}
	first := l.inspect("own").ID
	if _, err := l.run("up", "-f", compose("goodbye")); err == nil || !strings.Contains(err.Error(), "own") || l.inspect("own").ID != first {
		t.Errorf("recreated unasked: %v", err)
	}
	l.mustRun("up", "--yes", "-f", compose("goodbye"))
	if l.inspect("own").ID == first {
		t.Error("not recreated")
	}
}

// program is provision as a process of its own, whose terminal is not the test's.
func (l lab) program(args ...string) *exec.Cmd {
	program := exec.CommandContext(l.Context(), os.Args[0], append([]string{"-p", l.project, "--state", l.state}, args...)...)
	program.Env = append(os.Environ(), asProvision+"=1")
	return program
}

// What may be changed on a container as it is reaches the kernel, as exec sees.
func TestLimitsAreChangedInPlace(t *testing.T) {
	l := newLab(t)
	if _, err := exec.LookPath("docker"); err != nil {
		missing(t, "there is no docker here, which exec runs")
	}
	compose := func(resources string) string {
		return l.file("services: {own: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: sleep 1000, stop_grace_period: 0s, " + resources + "}}")
	}
	own := func(script string) string {
		t.Helper()
		program := l.program("exec", l.host("own"), "sh", "-c", script)
		program.Stdin = strings.NewReader("by stdin\n")
		out, err := program.CombinedOutput()
		if err != nil {
			t.Fatalf("exec: %v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	const memory = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
	l.mustRun("up", "-f", compose("mem_limit: 64m, pids_limit: 100"))
	first := l.inspect("own").ID
	if got := own(memory); got != "67108864" {
		t.Errorf("at first %s bytes", got)
	}
	out := l.mustRun("up", "-f", compose("mem_limit: 96m, pids_limit: 90, cpus: 0.5, mem_reservation: 32m, restart: always"))
	if !strings.Contains(out, "update  container "+l.project+"-own-1  limits.cpus: 0.5, before none") {
		t.Errorf("the plan:\n%s", out)
	}
	c := l.inspect("own")
	if h := c.HostConfig; c.ID != first || h.Memory != 96<<20 || h.MemoryReservation != 32<<20 || *h.PidsLimit != 90 || h.NanoCPUs != 5e8 || h.RestartPolicy.Name != "always" {
		t.Errorf("recreated: %v; %+v", c.ID != first, h.Resources)
	}
	if got := own(memory); got != "100663296" {
		t.Errorf("the kernel allows %s bytes", got)
	}
	if got := own("cat"); got != "by stdin" {
		t.Errorf("exec's standard input: %q", got)
	}
	err := l.program("exec", l.host("own"), "sh", "-c", "exit 7").Run()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 7 {
		t.Errorf("a command that ends with 7: %v", err)
	}
}

func TestTheHostImageHasADockerCommandWhereAskedFor(t *testing.T) {
	l := newLab(t)
	l.mustRun("up", "-f", l.file("services: {with: {x-berth: {docker_cli: true}}, without: {}}"))
	if got := l.ssh("with", "developer", "docker --version"); !strings.HasPrefix(got, "Docker version") {
		t.Errorf("got %q", got)
	}
	if got := l.ssh("without", "developer", "command -v docker || echo none"); got != "none\n" {
		t.Errorf("there is one unasked: %q", got)
	}
}

func TestUpSaysWhyAHostDoesNotStay(t *testing.T) {
	for restart, command := range map[string]string{
		"no":     "echo no such model >&2; exit 3",
		"always": "sleep 0.5; echo no such model >&2; exit 3",
	} {
		t.Run("restart "+restart, func(t *testing.T) {
			l := newLab(t)
			_, err := l.run("up", "-f", l.file(`
services:
  brief:
    image: `+os.Getenv("BERTH_BASE_IMAGE")+`
    command: sh -c "`+command+`"
    restart: "`+restart+`"
`))
			want := regexp.MustCompile("^brief: its command ended(?: with code 3|, and was started again): no such model$")
			if err == nil || !want.MatchString(err.Error()) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestUpSaysWhichStepOfABuildFailed(t *testing.T) {
	l := newLab(t)
	_, err := l.run("up", "-f", l.file(`
services:
  own:
    build: {dockerfile_inline: "FROM `+os.Getenv("BERTH_BASE_IMAGE")+`\nRUN echo no compiler && exit 4"}
`))
	if err == nil || !strings.Contains(err.Error(), "RUN echo no compiler") || !strings.HasSuffix(err.Error(), "\n  | no compiler") {
		t.Errorf("got %v", err)
	}
}

func TestARefusedReservationMakesNothing(t *testing.T) {
	l := newLab(t)
	_, err := l.run("up", "-f", l.file(`
services:
  small: {deploy: {resources: {reservations: {cpus: "0.1"}}}}
  huge: {deploy: {resources: {reservations: {cpus: "100000"}}}}
`))
	if err == nil || !strings.HasPrefix(err.Error(), "huge: reserves 100000 cpus, but the box has ") {
		t.Errorf("got %v", err)
	}
	have, err := apply.Observe(t.Context(), l.api, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := have.Container(l.project + "-small-1"); there || len(plan.Labelled(have.Networks, l.project)) > 0 {
		t.Error("something was made")
	}
}
