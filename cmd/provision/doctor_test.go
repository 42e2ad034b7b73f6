package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// A doctor that examines a real engine, on which faults were planted.
func TestDoctorOnAnEngine(t *testing.T) {
	b := newGPUBox(t, 1)
	b.Stub("nvidia-ctk", "#!/bin/sh\necho NVIDIA Container Toolkit CLI version 1.17.4\n")
	smi := b.CProgram(`#include <stdio.h>
int main(void) { puts("Failed to initialize NVML: Unknown Error"); return 255; }`)
	_, err := b.API.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name:   "old",
		Config: &container.Config{Image: "wait"},
		HostConfig: &container.HostConfig{
			NetworkMode: "none", PortBindings: network.PortMap{network.MustParsePort("22/tcp"): {{HostPort: "4432"}}},
		},
	})
	if err == nil {
		_, err = b.API.ContainerStart(t.Context(), "old", client.ContainerStartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.Dir, "faults.yaml")
	text := `services:
  trainer: {image: wait, network_mode: none, shm_size: 64m, ulimits: {nofile: 1000}, gpus: [{count: 1}], environment: {HF_TOKEN: x},
    volumes: ["` + b.Dir + `/docker.sock:/run/docker.sock", "` + smi + `:/usr/bin/nvidia-smi"], x-berth: {docker_socket: true}}
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
	c, err := examine(t.Context(), onBox{})
	if err != nil {
		t.Fatal(err)
	}
	if found := c.Problems(); len(found) == 0 || !strings.Contains(found[0].What, "no Docker engine answers at unix://") {
		t.Errorf("got %+v", found)
	}
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	if _, err := examine(t.Context(), onBox{}); err == nil || !strings.Contains(err.Error(), "no Docker engine answers at tcp://") {
		t.Errorf("an engine elsewhere: got %v", err)
	}
}
