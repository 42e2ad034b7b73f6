package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"berth/box"
	"berth/labels"
	"berth/ledger"
	"berth/provision/compose"
	"berth/provision/plan"
)

// healthy is a machine with nothing wrong, and a host on it.
func healthy() *checkup {
	return &checkup{
		engine: "29.1.0", cgroupDriver: "systemd", diskFree: 50, diskSize: 100, dataRoot: "/var/lib/docker",
		box: box.Box{
			Engine:    box.Engine{CDI: []string{"nvidia.com/gpu=GPU-1"}},
			Inventory: box.Inventory{GPUs: []box.GPU{{UUID: "GPU-1", Model: "NVIDIA H200"}}},
			Toolkit:   "1.20.1",
		},
		containers: []plan.Container{{
			ID: "m", Name: "lab-master-1", Running: true, Labels: map[string]string{labels.Project: "lab", labels.Host: "master"},
			Claim: ledger.Claim{GPUs: []box.Hold{{UUID: "GPU-1"}}}, HostConfig: container.HostConfig{ShmSize: 8 << 30},
		}},
		openFiles: map[string]int{"m": 1 << 20}, nvmlFails: map[string]bool{},
	}
}

func TestDoctorFindsEachPlantedFault(t *testing.T) {
	for what, plant := range map[string]func(*checkup, *plan.Container){
		"no engine":                              func(c *checkup, _ *plan.Container) { c.silent = "no engine" },
		"the Docker engine is 19.03.9":           func(c *checkup, _ *plan.Container) { c.engine = "19.03.9" },
		"5B of 100B are free in /var/lib/docker": func(c *checkup, _ *plan.Container) { c.diskFree = 5 },
		"the clock is not synchronised":          func(c *checkup, _ *plan.Container) { c.unsynchronised = true },
		"the GPUs cannot be counted: it hangs":   func(c *checkup, _ *plan.Container) { c.box.NoGPUs = "it hangs" },
		"GPU GPU-1 does not work: its driver asks for a drain and reset": func(c *checkup, _ *plan.Container) {
			c.box.GPUs[0].Recovery = "Drain and Reset"
		},
		"there is no NVIDIA container toolkit (nvidia-ctk)":  func(c *checkup, _ *plan.Container) { c.box.Toolkit = "" },
		"the NVIDIA container toolkit is 1.17.4":             func(c *checkup, _ *plan.Container) { c.box.Toolkit = "1.17.4" },
		"the CDI specification knows no GPU-1 (NVIDIA H200)": func(c *checkup, _ *plan.Container) { c.box.CDI = []string{"nvidia.com/gpu=GPU-0"} },
		"/etc/cdi/nvidia.yaml is of another driver than the 550.127.08 that runs": func(c *checkup, _ *plan.Container) {
			c.staleCDI, c.box.Driver = "/etc/cdi/nvidia.yaml", "550.127.08"
		},
		"GPUs come by NVIDIA's hook, and the cgroup driver is systemd": func(c *checkup, _ *plan.Container) { c.box.CDI = nil },
		"container lab-master-1 publishes its ssh as port 4432": func(_ *checkup, e *plan.Container) {
			e.HostConfig.PortBindings = network.PortMap{network.MustParsePort("22/tcp"): {{HostPort: "4432"}}}
		},
		"container lab-master-1 has the Docker socket, by /var/run/docker.sock": func(_ *checkup, e *plan.Container) {
			e.Mounts = []container.MountPoint{{Type: "bind", Source: "/var/run/docker.sock"}}
		},
		`container lab-master-1 says "Failed to initialize NVML"`: func(c *checkup, _ *plan.Container) { c.nvmlFails["m"] = true },
		"container lab-master-1 may have 1024 files open":         func(c *checkup, _ *plan.Container) { c.openFiles["m"] = 1024 },
		"container lab-master-1 has a GPU and 64 MiB of /dev/shm": func(_ *checkup, e *plan.Container) { e.HostConfig.ShmSize = dockersShm },
	} {
		t.Run(what, func(t *testing.T) {
			c := healthy()
			plant(c, &c.containers[0])
			found := c.problems()
			if len(found) != 1 || found[0].what != what || found[0].cure == "" {
				t.Errorf("got %+v", found)
			}
		})
	}
	if found := healthy().problems(); len(found) > 0 {
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

func TestDoctorFindsSecretsInTheFiles(t *testing.T) {
	project, err := compose.Load(t.Context(), compose.Options{Files: []string{"testdata/seed/docker-compose.yml"}})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range secretsIn(project) {
		found = append(found, f.what)
	}
	if len(found) != 4 || !strings.HasSuffix(found[0], ": master: DEVELOPER_PASSWORD is a secret in its environment") {
		t.Errorf("got %q", found)
	}
}

// A doctor that examines a real engine, on which faults were planted.
func TestDoctorOnAnEngine(t *testing.T) {
	b := newGPUBox(t, 1)
	b.stub("nvidia-ctk", "#!/bin/sh\necho NVIDIA Container Toolkit CLI version 1.17.4\n")
	smi := b.cProgram(`#include <stdio.h>
int main(void) { puts("Failed to initialize NVML: Unknown Error"); return 255; }`)
	_, err := b.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name:   "old",
		Config: &container.Config{Image: "wait"},
		HostConfig: &container.HostConfig{
			NetworkMode: "none", PortBindings: network.PortMap{network.MustParsePort("22/tcp"): {{HostPort: "4432"}}},
		},
	})
	if err == nil {
		_, err = b.api.ContainerStart(t.Context(), "old", client.ContainerStartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.dir, "faults.yaml")
	text := `services:
  trainer: {image: wait, network_mode: none, shm_size: 64m, ulimits: {nofile: 1000}, gpus: [{count: 1}], environment: {HF_TOKEN: x},
    volumes: ["` + b.dir + `/docker.sock:/run/docker.sock", "` + smi + `:/usr/bin/nvidia-smi"], x-berth: {docker_socket: true}}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b.mustRun("up", "-f", file, "-p", "lab")
	out, err := b.run("doctor", "-f", file, "-p", "lab")
	if err == nil {
		t.Error("all of these faults, and no error")
	}
	for what, present := range map[string]bool{
		"toolkit is 1.17.4": true, "has the Docker socket": true, "may have 1000 files open": true,
		"64 MiB of /dev/shm": true, "HF_TOKEN is a secret": true, "container old publishes its ssh as port 4432": true,
		`container lab-trainer-1 says "Failed to initialize NVML"`: true, "nothing is wrong": false,
	} {
		if strings.Contains(out, what) != present {
			t.Errorf("%s: %v, want %v, in\n%s", what, !present, present, out)
		}
	}
}

func TestDoctorWithoutAnEngine(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "docker.sock"))
	c, err := examineAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found := c.problems(); len(found) == 0 || !strings.Contains(found[0].what, "no Docker engine answers at unix://") {
		t.Errorf("got %+v", found)
	}
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	if _, err := examineAll(t.Context()); err == nil || !strings.Contains(err.Error(), "no Docker engine answers at tcp://") {
		t.Errorf("an engine elsewhere: got %v", err)
	}
}
