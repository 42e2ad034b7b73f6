package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
)

// healthy returns a box without problems, with a host on it.
func healthy() *Checkup {
	return &Checkup{
		Engine: "29.1.0", CgroupDriver: "systemd", DiskFree: 50, DiskSize: 100, DataRoot: "/var/lib/docker",
		Box: box.Box{
			Engine:    box.Engine{CDI: []string{"nvidia.com/gpu=GPU-1"}},
			Inventory: box.Inventory{GPUs: []box.GPU{{UUID: "GPU-1", Model: "NVIDIA H200"}}},
			Toolkit:   "1.20.1",
		},
		Containers: []Container{{ID: "m", Name: "lab-master-1", Host: "master", HoldsGPU: true, ShmSize: 8 << 30, OpenFiles: 1 << 20}},
	}
}

func TestDoctorFindsEachPlantedFault(t *testing.T) {
	for what, plant := range map[string]func(*Checkup, *Container){
		"no engine":                              func(c *Checkup, _ *Container) { c.Silent = "no engine" },
		"the Docker engine is 19.03.9":           func(c *Checkup, _ *Container) { c.Engine = "19.03.9" },
		"5B of 100B are free in /var/lib/docker": func(c *Checkup, _ *Container) { c.DiskFree = 5 },
		"the clock is not synchronised":          func(c *Checkup, _ *Container) { c.Unsynchronised = true },
		"the GPUs cannot be counted: it hangs":   func(c *Checkup, _ *Container) { c.Box.NoGPUs = "it hangs" },
		"GPU GPU-1 does not work: its driver asks for a drain and reset": func(c *Checkup, _ *Container) {
			c.Box.GPUs[0].Recovery = "Drain and Reset"
		},
		"there is no NVIDIA container toolkit (nvidia-ctk)":  func(c *Checkup, _ *Container) { c.Box.Toolkit = "" },
		"the NVIDIA container toolkit is 1.17.4":             func(c *Checkup, _ *Container) { c.Box.Toolkit = "1.17.4" },
		"the CDI specification knows no GPU-1 (NVIDIA H200)": func(c *Checkup, _ *Container) { c.Box.CDI = []string{"nvidia.com/gpu=GPU-0"} },
		"/etc/cdi/nvidia.yaml is of another driver than the 550.127.08 that runs": func(c *Checkup, _ *Container) {
			c.StaleCDI, c.Box.Driver = "/etc/cdi/nvidia.yaml", "550.127.08"
		},
		"GPUs come by NVIDIA's hook, and the cgroup driver is systemd": func(c *Checkup, _ *Container) { c.Box.CDI = nil },
		"container lab-master-1 publishes its ssh as port 4432":        func(_ *Checkup, e *Container) { e.SSHPort = "4432" },
		"container lab-master-1 has the Docker socket, by /var/run/docker.sock": func(_ *Checkup, e *Container) {
			e.Socket = "/var/run/docker.sock"
		},
		`container lab-master-1 says "Failed to initialize NVML"`: func(_ *Checkup, e *Container) { e.LostGPU = true },
		"container lab-master-1 may have 1024 files open":         func(_ *Checkup, e *Container) { e.OpenFiles = 1024 },
		"container lab-master-1 has a GPU and 64 MiB of /dev/shm": func(_ *Checkup, e *Container) { e.ShmSize = dockersShm },
		"container lab-worker-1 does not run: its command ended with code 1: no such file": func(c *Checkup, _ *Container) {
			c.Ended = []Ended{
				{"lab-worker-1", "worker", docker.Ending{Kind: docker.Failed, Text: "its command ended with code 1: no such file"}},
				{"lab-idle-1", "idle", docker.Ending{Kind: docker.Stopped, Text: "somebody stopped it by the engine (SIGTERM)"}},
			}
		},
		"container lab-worker-1 does not run: the kernel killed it": func(c *Checkup, _ *Container) {
			c.Ended = []Ended{{"lab-worker-1", "worker", docker.Ending{Kind: docker.OutOfMem, Text: "the kernel killed it"}}}
		},
		"image berth/kept:master.0123 has what was written in host master until 2026-11-27 14:05 (3GiB), and no container has it any more": func(c *Checkup, _ *Container) {
			c.Kept = []plan.KeptImage{{Ref: "berth/kept:master.0123", Host: "master", Until: time.Date(2026, 11, 27, 14, 5, 0, 0, time.Local), Size: 3 << 30}}
		},
	} {
		t.Run(what, func(t *testing.T) {
			c := healthy()
			plant(c, &c.Containers[0])
			found := c.Problems()
			if len(found) != 1 || found[0].What != what || found[0].Cure == "" {
				t.Errorf("got %+v", found)
			}
		})
	}
	if found := healthy().Problems(); len(found) > 0 {
		t.Errorf("nothing is wrong, but it found %+v", found)
	}
}

func TestACDISpecificationOfAnotherDriverIsStale(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"other.yaml":  "kind: vendor.com/device\n",
		"nvidia.yaml": "kind: nvidia.com/gpu\ncontainerPath: /usr/lib/libcuda.so.550.54.15\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for driver, want := range map[string]string{"550.54.15": "", "550.127.08": filepath.Join(dir, "nvidia.yaml"), "": ""} {
		if got := staleCDI(driver, filepath.Join(dir, "none"), dir); got != want {
			t.Errorf("driver %s: %q, want %q", driver, got, want)
		}
	}
}

func TestSecretsInTheFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "compose.yaml")
	text := `services:
  master:
    image: x
    environment: {DEVELOPER_PASSWORD: x, HF_TOKEN: x, OPENAI_API_KEY: x, aws_secret: x, ROOT_PASSWORD: , GITHUB_TOKEN: "", TOKENIZER: x, PASSWORD_FILE: x}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	project, err := compose.Load(t.Context(), compose.Options{Files: []string{file}, Project: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range Secrets(project) {
		found = append(found, p.What)
	}
	if want := "compose.yaml:4: master: DEVELOPER_PASSWORD is a secret in its environment"; len(found) != 4 || !strings.HasSuffix(found[0], want) {
		t.Errorf("got %q, want four, and first %q", found, want)
	}
}

func TestHowAContainerLooksToTheDoctor(t *testing.T) {
	is := plan.Container{
		ID: "m", Name: "lab-master-1", Running: true, Labels: map[string]string{labels.Project: "lab", labels.Host: "master"},
		Claim: ledger.Claim{GPUs: []box.Hold{{UUID: "GPU-1"}}},
		HostConfig: container.HostConfig{
			ShmSize: 8 << 30, IpcMode: "host", Privileged: true,
			PortBindings: network.PortMap{network.MustParsePort("22/tcp"): {{HostPort: "4432"}}, network.MustParsePort("80/tcp"): {{HostPort: "80"}}},
		},
		Mounts: []container.MountPoint{{Destination: image.HostKeys}, {Source: "/data"}, {Source: "/run/docker.sock"}, {Source: "/"}},
	}
	want := Container{
		ID: "m", Name: "lab-master-1", Host: "master", SSHPort: "4432", Socket: "/run/docker.sock", HoldsGPU: true, Privileged: true,
		ShmSize: 8 << 30, HostIPC: true, OwnLimits: true,
	}
	if got := containerOf(is); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
