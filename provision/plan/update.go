package plan

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/provision/compose"
)

// updates has what can be changed on an existing container.
type updates struct {
	changes  []string // a line for each key: from what to what
	obstacle string   // why it cannot be done in place; "" where it can
	limits   Limits
}

// Limits are the values that an update writes: all of them, changed or not.
type Limits struct {
	Resources container.Resources
	Restart   container.RestartPolicy
}

// updatesTo returns how a container's limits must change for the service.
func (e Container) updatesTo(s compose.Service) updates {
	want, is := s.HostConfig, e.HostConfig
	var u updates
	u.amount("limits.cpus", is.NanoCPUs, want.NanoCPUs, box.CPUs)
	u.amount("limits.memory", is.Memory, want.Memory, box.Bytes)
	u.amount("reservations.memory", is.MemoryReservation, want.MemoryReservation, box.Bytes)
	u.amount("cpu_shares", is.CPUShares, want.CPUShares, func(n int64) string { return strconv.FormatInt(n, 10) })
	u.amount("pids_limit", valueOf(is.PidsLimit), valueOf(want.PidsLimit), func(n int64) string { return strconv.FormatInt(n, 10) })
	if want.MemorySwap != 0 {
		u.amount("memswap_limit", is.MemorySwap, want.MemorySwap, box.Bytes)
	}
	if was, will := policyText(is.RestartPolicy), policyText(want.RestartPolicy); was != will {
		u.changes = append(u.changes, fmt.Sprintf("restart: %s → %s", was, will))
	}
	if len(u.changes) > 0 && hookedGPU(is) {
		u.obstacle = "an update in place would take its GPU away"
	}
	resources := want.Resources // without a cpuset: pinned cores do not change
	u.limits = Limits{
		Resources: container.Resources{
			NanoCPUs: resources.NanoCPUs, Memory: resources.Memory, MemoryReservation: resources.MemoryReservation,
			CPUShares: resources.CPUShares, PidsLimit: resources.PidsLimit,
			MemorySwap: cmp.Or(resources.MemorySwap, 2*resources.Memory), // the engine's default, which it does not apply at an update
		},
		Restart: want.RestartPolicy,
	}
	return u
}

func (u *updates) amount(key string, is, want int64, text func(int64) string) {
	switch {
	case is == want:
		return
	case want == 0:
		u.obstacle = "the engine takes no limit away from a container"
		u.changes = append(u.changes, key+" gone")
	case is == 0:
		u.changes = append(u.changes, fmt.Sprintf("%s: %s, before none", key, text(want)))
	default:
		u.changes = append(u.changes, fmt.Sprintf("%s: %s → %s", key, text(is), text(want)))
	}
}

// hookedGPU reports whether the container got a GPU by NVIDIA's hook. The engine does
// not know of it: an update makes the engine write its own device rules again, which
// takes the GPU away. People then see "Failed to initialize NVML".
func hookedGPU(host container.HostConfig) bool {
	for _, r := range host.DeviceRequests {
		if compose.IsGPU(r) && r.Driver != "cdi" {
			return true
		}
	}
	return host.Runtime == "nvidia"
}

func valueOf(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func policyText(p container.RestartPolicy) string {
	text := cmp.Or(string(p.Name), "no")
	if p.MaximumRetryCount > 0 {
		text += ":" + strconv.Itoa(p.MaximumRetryCount)
	}
	return text
}

func causeOf(changes []string) string { return strings.Join(changes, ", ") }
