package compose

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/ledger"
)

const (
	// Enough for the threads of many workers, and a limit for a fork bomb.
	defaultPids = 16384
	// Docker's default of 64 MB breaks PyTorch's data loaders. Shared memory counts
	// against the memory limit, so a large default takes nothing from others.
	defaultShm = 8 << 30
)

func limitsOf(c types.ServiceConfig) ledger.Amounts {
	limits := ledger.Amounts{NanoCPUs: nanoCPUs(c.CPUS), Memory: int64(c.MemLimit)}
	if deploy := deployed(c).Limits; deploy != nil {
		limits.NanoCPUs = max(limits.NanoCPUs, nanoCPUs(deploy.NanoCPUs.Value()))
		limits.Memory = max(limits.Memory, int64(deploy.MemoryBytes))
	}
	return limits
}

func reservationsOf(c types.ServiceConfig) ledger.Amounts {
	reserved := ledger.Amounts{Memory: int64(c.MemReservation)}
	if deploy := deployed(c).Reservations; deploy != nil {
		reserved.NanoCPUs = nanoCPUs(deploy.NanoCPUs.Value())
		reserved.Memory = max(reserved.Memory, int64(deploy.MemoryBytes))
	}
	return reserved
}

func deployed(c types.ServiceConfig) types.Resources {
	if c.Deploy == nil {
		return types.Resources{}
	}
	return c.Deploy.Resources
}

// nanoCPUs rounds to a thousandth, since compose-go's float32 cannot represent 0.1.
func nanoCPUs(cpus float32) int64 {
	return int64(math.Round(float64(cpus)*1e3)) * 1e6
}

func (b *builder) resources() container.Resources {
	c, reserved, limits := b.compose, b.service.Reserved, b.service.Limits
	requests := deviceRequests(c)
	if !b.settings.noGPU { // the ledger decides which GPUs
		requests = slices.DeleteFunc(requests, IsGPU)
	}
	return container.Resources{
		NanoCPUs:          limits.NanoCPUs,
		Memory:            limits.Memory,
		MemoryReservation: reserved.Memory,
		MemorySwap:        int64(c.MemSwapLimit),
		MemorySwappiness:  pointer(int64(c.MemSwappiness)),
		OomKillDisable:    pointer(c.OomKillDisable),
		PidsLimit:         pidsLimit(c),
		Ulimits:           ulimits(c.Ulimits),
		CPUShares:         cpuShares(c, reserved.NanoCPUs),
		CPUPeriod:         c.CPUPeriod,
		CPUQuota:          c.CPUQuota,
		CpusetCpus:        c.CPUSet,
		CgroupParent:      c.CgroupParent,
		DeviceCgroupRules: c.DeviceCgroupRules,
		Devices:           deviceMappings(c.Devices),
		DeviceRequests:    requests,
	}
}

// cpuShares returns the weight that makes a CPU reservation effective: if the
// processors are busy, the kernel divides them by these weights.
func cpuShares(c types.ServiceConfig, reserved int64) int64 {
	const perCPU, least = 1024, 2
	if c.CPUShares != 0 || reserved == 0 {
		return c.CPUShares
	}
	return max(least, reserved*perCPU/1e9)
}

func pidsLimit(c types.ServiceConfig) *int64 {
	limit := c.PidsLimit
	if deploy := deployed(c).Limits; deploy != nil && deploy.Pids != 0 {
		limit = deploy.Pids
	}
	if limit == 0 {
		limit = defaultPids
	}
	return &limit
}

// shmSize returns the size of /dev/shm in bytes: by default half of the memory limit,
// as on a computer with that much memory.
func shmSize(c types.ServiceConfig, memory int64) int64 {
	switch {
	case c.ShmSize != 0:
		return int64(c.ShmSize)
	case memory != 0:
		return memory / 2
	default:
		return defaultShm
	}
}

func ulimits(given map[string]*types.UlimitsConfig) []*container.Ulimit {
	var all []*container.Ulimit
	for _, name := range slices.Sorted(maps.Keys(given)) {
		limit := &container.Ulimit{Name: name, Soft: int64(given[name].Soft), Hard: int64(given[name].Hard)}
		if single := int64(given[name].Single); single != 0 {
			limit.Soft, limit.Hard = single, single
		}
		all = append(all, limit)
	}
	return all
}

func deviceMappings(devices []types.DeviceMapping) []container.DeviceMapping {
	var all []container.DeviceMapping
	for _, d := range devices {
		if !isCDI(d) {
			all = append(all, container.DeviceMapping{
				PathOnHost: d.Source, PathInContainer: d.Target, CgroupPermissions: d.Permissions,
			})
		}
	}
	return all
}

// isCDI reports whether a device is named as in the Container Device Interface,
// such as nvidia.com/gpu=0, and not by its path.
func isCDI(d types.DeviceMapping) bool {
	return !strings.HasPrefix(d.Source, "/") && strings.Contains(d.Source, "=")
}

func deviceRequests(c types.ServiceConfig) []container.DeviceRequest {
	var all []container.DeviceRequest
	if reserved := deployed(c).Reservations; reserved != nil {
		for _, d := range reserved.Devices {
			all = append(all, deviceRequest(d))
		}
	}
	for _, d := range c.Gpus {
		d.Capabilities = append(slices.Clone(d.Capabilities), "gpu")
		all = append(all, deviceRequest(d))
	}
	for _, d := range c.Devices {
		if isCDI(d) {
			all = append(all, container.DeviceRequest{Driver: "cdi", DeviceIDs: []string{d.Source}})
		}
	}
	return all
}

func deviceRequest(d types.DeviceRequest) container.DeviceRequest {
	return container.DeviceRequest{
		Driver:       d.Driver,
		Count:        int(d.Count),
		DeviceIDs:    d.IDs,
		Capabilities: [][]string{d.Capabilities},
		Options:      d.Options,
	}
}

// IsGPU reports whether the engine would give NVIDIA GPUs for the request.
func IsGPU(r container.DeviceRequest) bool {
	isCDI := slices.ContainsFunc(r.DeviceIDs, func(id string) bool { return strings.HasPrefix(id, box.CDIPrefix) })
	return !isOthers(r) && (r.Driver == "nvidia" || isCDI || hasCapability(r, "gpu"))
}

func hasCapability(r container.DeviceRequest, name string) bool {
	return slices.ContainsFunc(r.Capabilities, func(all []string) bool { return slices.Contains(all, name) })
}

// pointer returns nil for the zero value, which means the engine's default.
func pointer[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}
