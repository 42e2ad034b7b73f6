package apply

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/moby/moby/api/types/container"

	"berth/box"
	"berth/labels"
	"berth/ledger"
	"berth/provision/compose"
	"berth/provision/plan"
)

// claimOf returns what a container holds of the box. The containers are the books:
// nothing else is written down anywhere. A container that provision did not make
// holds what the engine and the NVIDIA runtime will give it.
func claimOf(b box.Box, e plan.Container, config *container.Config, host *container.HostConfig) ledger.Claim {
	c := ledger.Claim{Holder: e.Holder(), Amounts: ledger.Amounts{
		NanoCPUs: amountIn(e.Labels[labels.CPUs], b.NanoCPUs),
		Memory:   max(0, min(host.MemoryReservation, b.Memory)),
	}}
	if e.Labels[labels.Pinned] != "" {
		c.Pinned = box.ParseCPUs(host.CpusetCpus)
	}
	for _, d := range visible(b, config, host) {
		c.GPUs = append(c.GPUs, box.Hold{UUID: d.UUID, Budget: amountIn(e.Labels[labels.GPUMemory], d.Memory)})
	}
	return c
}

// amountIn returns the amount in a label: never less than nothing, nor more than
// there is. What is no number is nothing.
func amountIn(label string, most int64) int64 {
	n, err := strconv.ParseInt(label, 10, 64)
	if err != nil {
		return 0
	}
	return max(0, min(n, most))
}

// visible returns the devices that a container sees.
func visible(b box.Box, config *container.Config, host *container.HostConfig) []box.Device {
	if host.Privileged {
		return b.Devices()
	}
	var seen []box.Device
	for _, r := range host.DeviceRequests {
		seen = append(seen, requested(b, r)...)
	}
	for _, d := range host.Devices {
		seen = append(seen, mapped(b, d.PathOnHost)...)
	}
	if runtime := host.Runtime; runtime == "nvidia" || runtime == "" && b.Runtime == "nvidia" {
		for _, name := range compose.VisibleDevices(config.Env) {
			seen = append(seen, b.Resolve(name)...)
		}
	}
	var unique []box.Device
	for _, d := range seen {
		if !slices.Contains(unique, d) {
			unique = append(unique, d)
		}
	}
	return unique
}

// requested returns the devices that a request means to the engine. A number means
// the first ones, as the engine keeps no books.
func requested(b box.Box, r container.DeviceRequest) []box.Device {
	if !compose.IsGPU(r) {
		return nil
	}
	if r.Count == ledger.Every {
		return b.Devices()
	}
	seen := b.First(r.Count)
	for _, id := range r.DeviceIDs {
		seen = append(seen, b.Resolve(id)...)
	}
	return seen
}

// mapped returns the GPU of a device node; nvidiactl, nvidia-uvm and the like are none.
func mapped(b box.Box, path string) []box.Device {
	if path == "/dev" {
		return b.Devices()
	}
	match := regexp.MustCompile(`^/dev/nvidia(\d+)$`).FindStringSubmatch(path)
	if match == nil {
		return nil
	}
	minor, _ := strconv.Atoi(match[1])
	return b.ByMinor(minor)
}
