package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// lab is a project on the engine that tests use, and provision in this process.
type lab struct{ engine.Project }

func newLab(t *testing.T) lab {
	t.Helper()
	return lab{engine.NewProject(t)}
}

// run is provision with these arguments; its output, and its error as a person
// would read it.
func (l lab) run(args ...string) (string, error) {
	var out bytes.Buffer
	root := command()
	root.SetOut(&out)
	root.SetArgs(append(args, "-p", l.Name, "--state", l.State))
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

func TestUpMakesTheSeedsHostsOnASmallMachine(t *testing.T) {
	l := newLab(t)
	seed := []string{"-f", "testdata/seed/docker-compose.yml", "-f", "../../configs/compose.small.yaml", "-f", l.File("services: {master: {hostname: master}, worker: {}}")}
	l.mustRun(append([]string{"up"}, seed...)...)

	c := l.Inspect("master")
	if h := c.HostConfig; h.NanoCPUs != 1e9 || h.Memory != 1<<30 || h.MemoryReservation != 256<<20 || h.RestartPolicy.Name != "always" {
		t.Errorf("limits and restart policy: %d nano cpus, %d and %d bytes, %s", h.NanoCPUs, h.Memory, h.MemoryReservation, h.RestartPolicy.Name)
	}
	if len(c.NetworkSettings.Networks) != 1 || c.NetworkSettings.Networks[l.Name+"_primary_network"] == nil {
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
	if got := l.SSH("master", "developer", "hostname; echo $TZ; id -un"); got != "master\nUTC\ndeveloper\n" {
		t.Errorf("over ssh: %q", got)
	}

	if out := l.mustRun(append([]string{"up"}, seed...)...); !strings.Contains(out, "nothing to do") || l.Inspect("master").ID != c.ID {
		t.Errorf("a second up found something to do:\n%s", out)
	}
	keys := l.hostKeys("master")
	l.mustRun(append([]string{"up", "--yes", "--force", "-f", l.File("services: {master: {environment: {A: new}}}")}, seed...)...)
	if again := l.hostKeys("master"); again != keys || l.Inspect("master").ID == c.ID {
		t.Errorf("host keys of master changed: %s, before %s", again, keys)
	}
	if out := l.mustRun("ps"); strings.Count(out, "running") != 2 {
		t.Errorf("ps:\n%s", out)
	}

	if out, err := l.run("down"); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("down without a terminal asked nothing: %v\n%s", err, out)
	}
	l.mustRun("down", "--yes")
	have, err := apply.Observe(t.Context(), l.API, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := have.Container(l.Name + "-master-1"); there || len(plan.Labelled(have.Networks, l.Name)) > 0 {
		t.Error("down left a container or a network")
	}
	if len(plan.Labelled(have.Volumes, l.Name)) != 5 {
		t.Error("down took the volumes")
	}
	if out, err := l.run("down", "--volumes"); err == nil || !strings.Contains(err.Error(), "with their data") {
		t.Errorf("down --volumes without a terminal asked nothing: %v\n%s", err, out)
	}
	l.mustRun("down", "--volumes", "--yes")
	if have, err = apply.Observe(t.Context(), l.API, nil); err != nil || len(plan.Labelled(have.Volumes, l.Name)) > 0 {
		t.Errorf("down --volumes left a volume: %v", err)
	}
}

func (l lab) hostKeys(service string) string {
	l.Helper()
	return l.SSH(service, "developer", "cat /etc/ssh/ssh_host_*_key.pub")
}

func TestUpRecreatesWhatChangedButNotUnasked(t *testing.T) {
	l := newLab(t)
	compose := func(greeting string) string {
		return l.File(`
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
	if row := []string{l.Host("own"), "exec", "nobody", l.Name + "-own-1"}; !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(row, " ")) {
		t.Errorf("no row %v in\n%s", row, out)
	}
	if got := len(l.Inspect("own").NetworkSettings.Networks); got != 2 {
		t.Errorf("on %d networks, want 2", got)
	}
	first := l.Inspect("own").ID
	if _, err := l.run("up", "-f", compose("goodbye")); err == nil || !strings.Contains(err.Error(), "own") || l.Inspect("own").ID != first {
		t.Errorf("recreated unasked: %v", err)
	}
	l.mustRun("up", "--yes", "-f", compose("goodbye"))
	if l.Inspect("own").ID == first {
		t.Error("not recreated")
	}
}

// program is provision as a process of its own, whose terminal is not the test's.
func (l lab) program(args ...string) *exec.Cmd {
	program := exec.CommandContext(l.Context(), os.Args[0], append([]string{"-p", l.Name, "--state", l.State}, args...)...)
	program.Env = append(os.Environ(), asProvision+"=1")
	return program
}

// What may be changed on a container as it is reaches the kernel, as exec sees.
func TestLimitsAreChangedInPlace(t *testing.T) {
	l := newLab(t)
	harness.Need(t, "docker") // which exec runs
	compose := func(resources string) string {
		return l.File("services: {own: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: sleep 1000, stop_grace_period: 0s, " + resources + "}}")
	}
	own := func(script string) string {
		t.Helper()
		program := l.program("exec", l.Host("own"), "sh", "-c", script)
		program.Stdin = strings.NewReader("by stdin\n")
		out, err := program.CombinedOutput()
		if err != nil {
			t.Fatalf("exec: %v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	const memory = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
	l.mustRun("up", "-f", compose("mem_limit: 64m, pids_limit: 100"))
	first := l.Inspect("own").ID
	if got := own(memory); got != "67108864" {
		t.Errorf("at first %s bytes", got)
	}
	out := l.mustRun("up", "-f", compose("mem_limit: 96m, pids_limit: 90, cpus: 0.5, mem_reservation: 32m, restart: always"))
	if !strings.Contains(out, "update  container "+l.Name+"-own-1  limits.cpus: 0.5, before none") {
		t.Errorf("the plan:\n%s", out)
	}
	c := l.Inspect("own")
	if h := c.HostConfig; c.ID != first || h.Memory != 96<<20 || h.MemoryReservation != 32<<20 || *h.PidsLimit != 90 || h.NanoCPUs != 5e8 || h.RestartPolicy.Name != "always" {
		t.Errorf("recreated: %v; %+v", c.ID != first, h.Resources)
	}
	if got := own(memory); got != "100663296" {
		t.Errorf("the kernel allows %s bytes", got)
	}
	if got := own("cat"); got != "by stdin" {
		t.Errorf("exec's standard input: %q", got)
	}
	err := l.program("exec", l.Host("own"), "sh", "-c", "exit 7").Run()
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok || ended.ExitCode() != 7 {
		t.Errorf("a command that ends with 7: %v", err)
	}
}

func TestTheHostImageHasADockerCommandWhereAskedFor(t *testing.T) {
	l := newLab(t)
	l.mustRun("up", "-f", l.File("services: {with: {x-berth: {docker_cli: true}}, without: {}}"))
	if got := l.SSH("with", "developer", "docker --version"); !strings.HasPrefix(got, "Docker version") {
		t.Errorf("got %q", got)
	}
	if got := l.SSH("without", "developer", "command -v docker || echo none"); got != "none\n" {
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
			_, err := l.run("up", "-f", l.File(`
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
	_, err := l.run("up", "-f", l.File(`
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
	_, err := l.run("up", "-f", l.File(`
services:
  small: {deploy: {resources: {reservations: {cpus: "0.1"}}}}
  huge: {deploy: {resources: {reservations: {cpus: "100000"}}}}
`))
	if err == nil || !strings.HasPrefix(err.Error(), "huge: reserves 100000 cpus, but the box has ") {
		t.Errorf("got %v", err)
	}
	have, err := apply.Observe(t.Context(), l.API, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := have.Container(l.Name + "-small-1"); there || len(plan.Labelled(have.Networks, l.Name)) > 0 {
		t.Error("something was made")
	}
}
