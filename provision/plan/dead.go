package plan

import (
	"fmt"
	"strings"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// deadGPU returns why a GPU that the container was given cannot be given again, and
// what a person can do about it; "" if no reason is known.
func (e Container) deadGPU(b box.Box) string {
	if e.Labels[labels.GPUMemory] == labels.NoGPU {
		return ""
	}
	for _, r := range e.HostConfig.DeviceRequests {
		if !compose.IsGPU(r) {
			continue
		}
		if b.NoGPUs != "" && !b.Elsewhere {
			return "its GPU cannot be asked after: " + b.NoGPUs
		}
		for _, id := range r.DeviceIDs {
			devices := b.Resolve(id)
			if len(devices) == 0 && len(b.Devices()) > 0 {
				return fmt.Sprintf("its %s is gone; dmesg says why (Xid)", strings.TrimPrefix(id, box.CDIPrefix))
			}
			for _, d := range devices {
				if d.Broken != "" {
					return fmt.Sprintf("its %s does not work until a %s; dmesg says why (Xid)", d.UUID, strings.ToLower(d.Broken))
				}
			}
		}
	}
	return ""
}

// keepDead keeps a container unchanged that would have to be recreated or changed,
// but whose GPU is dead and cannot be replaced: it may be useful without the GPU. The
// rest of the plan is carried out. It reports whether it kept the container.
func (f *fate) keepDead(b box.Box, refusals []string) bool {
	dead := ""
	if f.there {
		dead = f.is.deadGPU(b)
	}
	if dead == "" {
		return false
	}
	f.cause, f.inUse, f.updates = dead+"; it "+strings.Join(refusals, "; it "), true, updates{}
	f.is.Users = nil
	return true
}

// keepBroken notes that a container which stays has a GPU that does not work.
func (f *fate) keepBroken(b box.Box) {
	if dead := f.is.deadGPU(b); f.there && f.cause == "" && b.NoGPUs == "" && dead != "" {
		f.cause, f.inUse, f.is.Users = dead, true, nil
	}
}
