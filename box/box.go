// Package box describes the box: the computer that has the GPUs and runs the
// containers. It reads what the box has (processors, memory, NVIDIA cards and their
// parts), finds the device of a name, and finds whose processes are on a GPU. The
// ledger decides who holds what.
package box

import (
	"context"
	"os/exec"
	"regexp"
	"slices"
)

// Box is what there is to reserve from.
type Box struct {
	Engine
	Inventory
	NoGPUs  string // why the GPUs cannot be counted; "" where they were
	Cores   []Core
	NoCores string // why they are not known; "" where they are
	Toolkit string // version of the NVIDIA container toolkit; "" where unknown
	Procs   Procs
}

// Engine is what a container engine says of the box that it runs on.
type Engine struct {
	NanoCPUs  int64
	Memory    int64    // bytes
	CDI       []string // devices that it can hand out by these CDI names
	Runtime   string   // the one that it takes where a container names none
	CgroupV2  bool
	Elsewhere bool // it is not on the box that this process runs on
}

// CDIPrefix begins the CDI names of NVIDIA's devices.
const CDIPrefix = "nvidia.com/gpu="

// Read adds to what the engine says what the driver and the kernel say: the GPUs, the
// cores, the container toolkit. What cannot be read is noted in the Box and is no
// error, since containers without a GPU do not need it. For a box elsewhere it reads
// nothing; a process there makes a [Report].
func Read(ctx context.Context, engine Engine) Box {
	b := Box{Engine: engine}
	if engine.Elsewhere {
		b.NoGPUs = "the engine is on another box, whose driver was not asked"
		b.NoCores = "the engine is on another box, which was not asked"
		return b
	}
	b.Procs = ProcsIn("/proc")
	var err error
	if b.Inventory, err = ReadInventory(ctx); err != nil {
		b.NoGPUs = err.Error()
	}
	if b.Cores, err = ReadCores("/sys"); err != nil {
		b.NoCores = err.Error()
	}
	if len(b.GPUs) > 0 {
		b.Toolkit = toolkitVersion(ctx)
	}
	return b
}

// toolkitVersion is the one in "NVIDIA Container Toolkit CLI version 1.20.1".
func toolkitVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "nvidia-ctk", "--version").Output()
	if err != nil {
		return ""
	}
	return regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(string(out))
}

// KnowsCDI reports whether the engine can hand this device out by its CDI name.
func (b Box) KnowsCDI(uuid string) bool { return slices.Contains(b.CDI, CDIPrefix+uuid) }

// Unlimited says why nothing keeps a container from taking more of these
// devices' memory than its budget, or "" where the NVIDIA container toolkit sees
// to it. It does so by a CDI hook since 1.20.1, with drivers of CUDA 13.4 and
// later. A container that asked for it where one of these is missing would not
// start.
func (b Box) Unlimited(devices []Device) string {
	for _, d := range devices {
		switch {
		case d.Profile != "":
			return "the driver limits no MIG instance"
		case !b.KnowsCDI(d.UUID):
			return "the engine knows the GPU by no CDI name"
		}
	}
	switch {
	case !b.CgroupV2:
		return "it takes cgroup v2"
	case !AtLeast(b.CUDA, "13.4"):
		return "it takes a driver for CUDA 13.4"
	case !AtLeast(b.Toolkit, "1.20.1"):
		return "it takes the NVIDIA container toolkit 1.20.1"
	}
	return ""
}
