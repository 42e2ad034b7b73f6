package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
)

func TestGPUsAreHandedOutOnce(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 2)
	const one = ", gpus: [{count: 1}]"
	pair := b.Compose("pair", "master: "+one, "worker: "+one)
	b.mustRun("up", "-f", pair, "-p", "pair")
	held := b.holders("")
	if len(held) != 2 {
		t.Fatalf("two hosts, and these GPUs held: %v", held)
	}
	for uuid, names := range held {
		if len(names) != 1 {
			t.Errorf("%s is held by %v", uuid, names)
		}
		result, err := b.API.ContainerInspect(t.Context(), names[0], client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c := result.Container; !c.State.Running || c.HostConfig.DeviceRequests[0].DeviceIDs[0] != uuid {
			t.Errorf("%s: %+v", names[0], c.HostConfig.DeviceRequests)
		}
	}
	if out := b.mustRun("up", "-f", pair, "-p", "pair"); !strings.Contains(out, "nothing to do") {
		t.Errorf("a second up:\n%s", out)
	}

	third := b.Compose("third", "third: "+one)
	out, err := b.run("up", "-f", third, "-p", "third")
	if err == nil || !strings.Contains(out, "third: reserves 1 gpu, but none of the box's 2 are left: host master of project pair holds GPU-") {
		t.Errorf("a third host: %v\n%s", err, out)
	}
	b.mustRun("down", "-p", "pair")

	const share = ", x-berth: {gpu: {share: true, memory: 60G}}"
	shared := b.Compose("shared", "a: "+share, "b: "+share, "c: "+share)
	b.mustRun("up", "-f", shared, "-p", "shared")
	if held := b.holders(""); len(held) != 2 {
		t.Errorf("three budgets of 60 GiB on cards of 140 GiB: %v", held)
	}
}

func TestManyUpsAtOnceNeverHandOutAGPUTwice(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 8)
	var running sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for i := range 20 {
		project := fmt.Sprintf("p%d", i)
		file := b.Compose(project, fmt.Sprintf("host%d: , gpus: [{count: 1}]", i))
		running.Go(func() {
			out, err := b.run("up", "-f", file, "-p", project)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !strings.Contains(out, "reserves 1 gpu, but none of the box's 8 are left") {
				t.Errorf("%s: %v\n%s", project, err, out)
			}
			if err != nil {
				refused++
			}
		})
	}
	running.Wait()
	held := b.holders("")
	for uuid, names := range held {
		if len(names) > 1 {
			t.Errorf("%s is held by %v", uuid, names)
		}
	}
	if len(held) != 8 || refused != 12 {
		t.Errorf("%d of 8 GPUs are held, and %d of 12 hosts refused", len(held), refused)
	}
}

func TestMIGInstancesAreHandedOutOnce(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 0)
	b.DriverOf("../../box/testdata/nvidia-smi/550_h100_mig.txtar")
	const part = ", x-berth: {gpu: {mig: 1g.10gb}}"
	b.mustRun("up", "-f", b.Compose("lab", "a: "+part, "b: "+part), "-p", "lab")
	held := b.holders("lab")
	for uuid, names := range held {
		if !strings.HasPrefix(uuid, "MIG-") || len(names) != 1 {
			t.Errorf("%s is held by %v", uuid, names)
		}
	}
	out, err := b.run("up", "-f", b.Compose("third", "c: "+part), "-p", "third")
	if err == nil || len(held) != 2 || !strings.Contains(out, "c: reserves 1 MIG 1g.10gb, but none of the box's 2 are left") {
		t.Errorf("%v, %v\n%s", held, err, out)
	}
}

// Beside a container of somebody else's, a project that docker compose made is
// taken over: off the GPU that both were given, and with its volume.
func TestComposesContainersAreTakenOver(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 2)
	_, err := b.API.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name:   "trainer",
		Config: &container.Config{Image: "wait"},
		HostConfig: &container.HostConfig{
			NetworkMode: "none", RestartPolicy: container.RestartPolicy{Name: "always"},
			Resources: container.Resources{DeviceRequests: []container.DeviceRequest{{Count: 1, Capabilities: [][]string{{"gpu"}}}}},
		},
	})
	if err == nil {
		_, err = b.API.ContainerStart(t.Context(), "trainer", client.ContainerStartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.Dir, "lab.yaml")
	text := `version: "3.8"
services:
  a:
    image: wait
    network_mode: none
    restart: always
    stop_grace_period: 0s
    volumes: ["data:/data"]
    deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 1, capabilities: [gpu]}]}}}
volumes: {data: }
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := b.DockerCompose("-f", file, "-p", "lab", "up", "-d").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b.mustRun("up", "-f", file, "-p", "lab")
	list, err := b.API.ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("%d containers, of the trainer and a; %v", len(list.Items), err)
	}
	result, err := b.API.ContainerInspect(t.Context(), "lab-a-1", client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := result.Container
	if ids := c.HostConfig.DeviceRequests[0].DeviceIDs; len(ids) != 1 || !strings.HasPrefix(ids[0], "GPU-00000001") {
		t.Errorf("beside a trainer on the first GPU it got %v", ids)
	}
	if len(c.Mounts) != 2 || c.Config.Labels[labels.Project] != "lab" || !slices.ContainsFunc(c.Mounts, func(m container.MountPoint) bool { return m.Name == "lab_data" }) {
		t.Errorf("its volume: %+v", c.Mounts)
	}
}

func TestCPUsArePinnedOnce(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 0)
	const exclusive = ", deploy: {resources: {reservations: {cpus: '1'}}}, x-berth: {cpus: exclusive}"
	file := b.Compose("lab", "a: "+exclusive)
	b.mustRun("up", "-f", file, "-p", "lab")
	result, err := b.API.ContainerInspect(t.Context(), "lab-a-1", client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pinned := box.ParseCPUs(result.Container.HostConfig.CpusetCpus)
	if len(pinned) == 0 {
		t.Error("a is pinned to no cpu")
	}
	if out := b.mustRun("up", "-f", file, "-p", "lab"); !strings.Contains(out, "nothing to do") {
		t.Errorf("a second up:\n%s", out)
	}
	cores, err := box.ReadCores("/sys")
	if err != nil {
		t.Fatal(err)
	}
	all := b.Compose("all", fmt.Sprintf("b: %s", strings.Replace(exclusive, "'1'", fmt.Sprintf("'%d'", box.CountCPUs(cores)), 1)))
	out, err := b.run("up", "-f", all, "-p", "all")
	if err == nil || !strings.Contains(out, "host a of project lab holds "+box.FormatCPUs(pinned)) {
		t.Errorf("all cpus, one of them a's: %v\n%s", err, out)
	}
}

// docker compose gives each service of count 1 the first GPU. One up takes both hosts
// over, each on a GPU of its own, with what was written in them.
func TestOneUpTakesOverWhatComposeMade(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 2)
	for _, service := range []string{"master", "worker"} {
		name := "seed-" + service + "-1"
		created, err := b.API.ContainerCreate(t.Context(), client.ContainerCreateOptions{
			Name: name,
			Config: &container.Config{Image: "wait", Env: []string{"OLD=1"}, Labels: map[string]string{
				labels.ComposeProject: "seed", labels.ComposeService: service,
			}},
			HostConfig: &container.HostConfig{NetworkMode: "none", RestartPolicy: container.RestartPolicy{Name: "always"}, Resources: container.Resources{
				DeviceRequests: []container.DeviceRequest{{Driver: "nvidia", Count: 1, Capabilities: [][]string{{"gpu"}}}},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		b.put(name, "/work", service)
		if _, err := b.API.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	const one = ", gpus: [{count: 1}]"
	out := b.mustRun("up", "-f", b.Compose("seed", "master: "+one, "worker: "+one), "-p", "seed")
	if strings.Count(out, "recreate  container seed-") != 2 {
		t.Errorf("the plan:\n%s", out)
	}
	b.settled("seed", 2)
	held := b.holders("seed")
	if len(held) != 2 {
		t.Errorf("the GPUs: %v", held)
	}
	for _, service := range []string{"master", "worker"} {
		if got := b.get("seed-"+service+"-1", "/work"); got != service {
			t.Errorf("%s: %q", service, got)
		}
	}
}

// put writes a file in a container that does not run.
func (b *gpuBox) put(name, path, text string) {
	b.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o644, Size: int64(len(text))})
	w.Write([]byte(text))
	w.Close()
	if _, err := b.API.CopyToContainer(b.Context(), name, client.CopyToContainerOptions{DestinationPath: "/", Content: &archive}); err != nil {
		b.Fatal(err)
	}
}

func (b *gpuBox) get(name, path string) string {
	b.Helper()
	result, err := b.API.CopyFromContainer(b.Context(), name, client.CopyFromContainerOptions{SourcePath: path})
	if err != nil {
		b.Fatal(err)
	}
	defer result.Content.Close()
	r := tar.NewReader(result.Content)
	if _, err := r.Next(); err != nil {
		b.Fatal(err)
	}
	text, _ := io.ReadAll(r)
	return string(text)
}

// Two GPUs change hands between hosts that are there.
func TestHostsExchangeTheirGPUs(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 2)
	on := func(first, second int) string {
		return b.Compose("swap", fmt.Sprintf("a: , gpus: [{device_ids: ['%d']}]", first), fmt.Sprintf("b: , gpus: [{device_ids: ['%d']}]", second),
			"c: , pid: 'service:a'")
	}
	b.mustRun("up", "-f", on(0, 1), "-p", "swap")
	before := b.holders("swap")
	b.mustRun("up", "-f", on(1, 0), "-p", "swap")
	b.settled("swap", 3)
	after := b.holders("swap")
	for uuid, names := range before {
		if len(after[uuid]) != 1 || after[uuid][0] == names[0] {
			t.Errorf("%s: %v, before %v", uuid, after[uuid], names)
		}
	}
	if out := b.mustRun("plan", "-f", on(1, 0), "-p", "swap"); !strings.Contains(out, "nothing to do") {
		t.Errorf("after it:\n%s", out)
	}
}
