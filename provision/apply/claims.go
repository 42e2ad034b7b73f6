package apply

import (
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
)

// claimOf returns what a container holds of the box. The containers themselves are
// the books; nothing is recorded elsewhere. A container that provision did not make
// holds what the engine and the NVIDIA runtime give it, and all that it sees if it is
// privileged.
func claimOf(b box.Box, e plan.Container, config *container.Config, host *container.HostConfig) ledger.Claim {
	c := ledger.Claim{Holder: e.Holder(), Amounts: ledger.Amounts{
		NanoCPUs: amountIn(e.Labels[labels.CPUs], b.NanoCPUs),
		Memory:   max(0, min(host.MemoryReservation, b.Memory)),
	}}
	if e.Labels[labels.Pinned] != "" {
		c.Pinned = box.ParseCPUs(host.CpusetCpus)
	}
	holds := visible(b, config, host)
	if e.Project() != "" { // which it was given; that it sees the others, being privileged, is no hold
		holds = requestedBy(b, config, host)
	}
	if e.Labels[labels.GPUMemory] == labels.NoGPU && e.Project() != "" {
		holds = nil
	}
	for _, d := range holds {
		c.GPUs = append(c.GPUs, box.Hold{UUID: d.UUID, Budget: amountIn(e.Labels[labels.GPUMemory], d.Memory)})
	}
	return c
}

// amountIn returns the amount in a label: at least 0, and at most what the box has. A
// text that is no number counts as 0.
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
	return requestedBy(b, config, host)
}

// requestedBy returns the devices that a container was created with, one by one.
func requestedBy(b box.Box, config *container.Config, host *container.HostConfig) []box.Device {
	var seen []box.Device
	for _, r := range host.DeviceRequests {
		seen = append(seen, requested(b, r)...)
	}
	for _, d := range host.Devices {
		seen = append(seen, mapped(b, d.PathOnHost)...)
	}
	if compose.RulesAllowGPUs(host.DeviceCgroupRules) && mountsDev(host) {
		seen = append(seen, b.Devices()...)
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

// requested returns the devices that the engine gives for a request. For a number it
// gives the first ones, since it does not know who holds which.
func requested(b box.Box, r container.DeviceRequest) []box.Device {
	if !compose.IsGPU(r) {
		return nil
	}
	if r.Count == ledger.Every {
		return b.Devices()
	}
	seen := b.First(r.Count)
	for _, id := range box.Names(r.DeviceIDs...) {
		seen = append(seen, b.Resolve(id)...)
	}
	return seen
}

// mountsDev reports whether a container has all of the box's device nodes; its device
// rules say which of them it may use.
func mountsDev(host *container.HostConfig) bool {
	return slices.ContainsFunc(host.Binds, func(bind string) bool { return strings.HasPrefix(bind, "/dev:") }) ||
		slices.ContainsFunc(host.Mounts, func(m mount.Mount) bool { return m.Source == "/dev" })
}

// mapped returns the GPU of a device node; none for nodes such as nvidiactl and
// nvidia-uvm.
func mapped(b box.Box, path string) []box.Device {
	if path == "/dev" {
		return b.Devices()
	}
	minor, is := box.MinorOf(path)
	if !is {
		return nil
	}
	return b.ByMinor(minor)
}
