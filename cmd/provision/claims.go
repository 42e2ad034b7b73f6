package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"

	"berth/labels"
)

// claim is what a container holds of the machine, from when it is created
// until it is removed.
type claim struct {
	holder   string
	nanoCPUs int64
	memory   int64
	gpus     []gpuClaim
	pinned   []int // cpus
}

// gpuClaim is a device, or part of its memory.
type gpuClaim struct {
	uuid   string
	budget int64 // 0: the whole device
}

// claimOf reads a container's claim. It is the ledger: nothing else is written
// down anywhere. Of a container that provision did not make it is what the
// engine and the NVIDIA runtime will give it.
func (m machine) claimOf(e existing, config *container.Config, host *container.HostConfig) claim {
	c := claim{holder: e.holder(), memory: host.MemoryReservation}
	c.nanoCPUs, _ = strconv.ParseInt(e.labels[labels.CPUs], 10, 64)
	if e.labels[labels.Pinned] != "" {
		c.pinned = parseCPUs(host.CpusetCpus)
	}
	budget, _ := strconv.ParseInt(e.labels[labels.GPUMemory], 10, 64)
	for _, d := range m.visible(config, host) {
		c.gpus = append(c.gpus, gpuClaim{d.uuid, budget})
	}
	return c
}

// visible are the devices that a container sees.
func (m machine) visible(config *container.Config, host *container.HostConfig) []device {
	if host.Privileged {
		return m.devices()
	}
	var seen []device
	for _, r := range host.DeviceRequests {
		seen = append(seen, m.requested(r)...)
	}
	for _, d := range host.Devices {
		seen = append(seen, m.mapped(d.PathOnHost)...)
	}
	if runtime := host.Runtime; runtime == "nvidia" || runtime == "" && m.runtime == "nvidia" {
		for _, name := range visibleDevices(config.Env) {
			seen = append(seen, m.resolve(name)...)
		}
	}
	var unique []device
	for _, d := range seen {
		if !slices.Contains(unique, d) {
			unique = append(unique, d)
		}
	}
	return unique
}

// requested: a count always means the first ones; the engine keeps no books.
func (m machine) requested(r container.DeviceRequest) []device {
	if !isGPU(r) {
		return nil
	}
	if r.Count == allGPUs {
		return m.devices()
	}
	var seen []device
	for i := range r.Count {
		seen = append(seen, m.byIndex(i, "", false)...)
	}
	for _, id := range r.DeviceIDs {
		seen = append(seen, m.resolve(id)...)
	}
	return seen
}

// mapped is the GPU of a device node; nvidiactl, nvidia-uvm and their like are none.
func (m machine) mapped(path string) []device {
	if path == "/dev" {
		return m.devices()
	}
	match := regexp.MustCompile(`^/dev/nvidia(\d+)$`).FindStringSubmatch(path)
	if match == nil {
		return nil
	}
	minor, _ := strconv.Atoi(match[1])
	return m.byMinor(minor)
}

// visibleDevices is what NVIDIA_VISIBLE_DEVICES names.
func visibleDevices(env []string) []string {
	value := ""
	for _, entry := range env {
		if text, ok := strings.CutPrefix(entry, envVisible+"="); ok {
			value = text
		}
	}
	switch value {
	case "", "void", "none":
		return nil
	}
	return strings.Split(value, ",")
}

// envVisible is how the NVIDIA runtime is told which GPUs a container sees.
const envVisible = "NVIDIA_VISIBLE_DEVICES"

// holder is how refusals name a container.
func (e existing) holder() string {
	name := "container " + e.name + " (not provision's)"
	if project := e.project(); project != "" {
		name = fmt.Sprintf("host %s of project %s", e.hostName(), project)
	}
	if !e.running && e.state != "created" && e.state != "restarting" {
		name += " (" + e.state + ")"
	}
	return name
}

// counts: provision's own hold what they were given until they are removed, so
// that starting one again never fails; another's may come back at boot.
func (e existing) counts() bool {
	return e.project() != "" || e.running || e.restarts || e.state == "paused" || e.state == "restarting"
}
