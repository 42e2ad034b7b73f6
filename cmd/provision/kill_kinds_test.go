package main

import (
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/test/harness"
)

// killKind is a change that has several steps, and what people have in the hosts that it
// changes.
type killKind struct {
	hosts  []string
	before func(b *gpuBox, project string) // brings the hosts up as they were
	after  []string                        // services, as Compose takes them
	held   int                             // GPUs, each by one host
	work   string                          // a file of each host, which has the service's name in it
}

// killKinds are a takeover, hosts that are one switch, a volume that begins with a
// directory of the old container, and other names.
func killKinds() map[string]killKind {
	const one = ", gpus: [{count: 1}]"
	named := func(service, more string) string { return service + ": " + ofProject(service) + more }
	up := func(services ...string) func(*gpuBox, string) {
		return func(b *gpuBox, project string) { b.mustRun("up", "-f", b.Compose(project, services...), "-p", project) }
	}
	return map[string]killKind{
		"takeover": {[]string{"a", "b"}, byCompose, []string{named("a", one), named("b", one)}, 2, "/work"},
		"switch": {[]string{"a", "b"}, up(named("a", ""), named("b", ", pid: 'service:a'")),
			[]string{named("a", ", hostname: new"), named("b", ", pid: 'service:a'")}, 0, "/work"},
		"volume": {[]string{"a"}, up(named("a", "")), []string{named("a", ", volumes: ['/srv']")}, 0, "/srv/work"},
		"name":   {[]string{"a"}, up(named("a", ", container_name: '${COMPOSE_PROJECT_NAME}-old'")), []string{named("a", "")}, 0, "/work"},
	}
}

// byCompose makes two hosts as docker compose does, both on the first GPU.
func byCompose(b *gpuBox, project string) {
	b.Helper()
	for _, service := range []string{"a", "b"} {
		_, err := b.API.ContainerCreate(b.Context(), client.ContainerCreateOptions{
			Name: project + "-" + service + "-1",
			Config: &container.Config{Image: "wait", Env: []string{"OLD=1"}, StopTimeout: new(int), Labels: map[string]string{
				labels.ComposeProject: project, labels.ComposeService: service,
			}},
			HostConfig: &container.HostConfig{NetworkMode: "none", RestartPolicy: container.RestartPolicy{Name: "always"}, Resources: container.Resources{
				DeviceRequests: []container.DeviceRequest{{Driver: "nvidia", Count: 1, Capabilities: [][]string{{"gpu"}}}},
			}},
		})
		if err == nil {
			_, err = b.API.ContainerStart(b.Context(), project+"-"+service+"-1", client.ContainerStartOptions{})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever is changed and wherever provision is killed: each host is the old one or the
// new one, runs, and has what was written in it; and the next run finishes.
func TestEveryKindOfChangeSurvivesAKill(t *testing.T) {
	for name, kind := range killKinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newGPUBox(t, 2)
			for n := 1; kind.diesAt(b, n); n += harness.Load(8, 1) { // make soak tries all of them
			}
		})
	}
}

// diesAt makes the change and is killed at the n-th call; it reports false where the
// change needs no so many.
func (k killKind) diesAt(b *gpuBox, n int) (died bool) {
	b.Helper()
	const project = "p"
	k.before(b, project)
	for _, host := range k.hosts {
		b.put(b.nameOf(project, host), k.work, host)
	}
	file := b.Compose(project, k.after...)
	died = b.killedAt(n, false, "up", "-f", file, "-p", project)
	b.eachRuns(project, k.hosts)
	for _, host := range k.hosts {
		if got := b.get(b.nameOf(project, host), k.work); got != host {
			b.Errorf("killed at call %d: %s has %q", n, host, got)
		}
	}
	b.mustRun("up", "-f", file, "-p", project)
	b.settled(project, len(k.hosts))
	for _, host := range k.hosts {
		if got := b.get(b.nameOf(project, host), k.work); got != host {
			b.Errorf("killed at call %d, and then up: %s has %q", n, host, got)
		}
	}
	if held := b.holders(project); len(held) != k.held {
		b.Errorf("killed at call %d: the GPUs are held by %v", n, held)
	}
	if out := b.mustRun("plan", "-f", file, "-p", project); !strings.Contains(out, "nothing to do") {
		b.Errorf("killed at call %d: the next up left something to do:\n%s", n, out)
	}
	b.mustRun("down", "--volumes", "-p", project)
	return died
}

// nameOf is the name of the container of a service that either maker made.
func (b *gpuBox) nameOf(project, service string) string {
	b.Helper()
	for _, c := range b.ofProject(project) {
		if c.Labels[labels.Service] == service || c.Labels[labels.Service] == "" && c.Labels[labels.ComposeService] == service {
			return c.ID
		}
	}
	b.Fatalf("%s has no container of %s", project, service)
	return ""
}

func (b *gpuBox) ofProject(project string) []container.Summary {
	b.Helper()
	list, err := b.API.ContainerList(b.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		b.Fatal(err)
	}
	var own []container.Summary
	for _, c := range list.Items {
		if c.Labels[labels.Project] == project || c.Labels[labels.ComposeProject] == project {
			own = append(own, c)
		}
	}
	return own
}

// eachRuns returns when a project has these hosts, each of them once and running.
func (b *gpuBox) eachRuns(project string, hosts []string) {
	b.Helper()
	var seen []string
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		running := 0
		seen = nil
		for _, c := range b.ofProject(project) {
			seen = append(seen, c.Names[0]+" "+string(c.State))
			if c.State == container.StateRunning {
				running++
			}
		}
		if running == len(hosts) && len(seen) == len(hosts) {
			return
		}
	}
	b.Fatalf("%s: the containers are %v", project, seen)
}
