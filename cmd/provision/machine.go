package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"berth/box"
	"berth/docker"
)

// machine is what there is to reserve from.
type machine struct {
	nanoCPUs int64
	memory   int64
	gpus     box.Inventory
	noGPUs   string // why the GPUs cannot be counted; "" where they were
	cores    []core
	noCores  string   // why they are not known
	cdi      []string // devices that the engine knows by their CDI names
	runtime  string   // the engine's default one
	cgroupV2 bool
	toolkit  string // version of the NVIDIA container toolkit; "" where unknown
}

// device is what a host can be given: a card, or an instance of a partitioned one.
type device struct {
	uuid    string
	card    string // UUID of the card that it is, or is a part of
	model   string
	profile string // of a MIG instance; "" for a whole card
	memory  int64
	broken  string // what the driver asks for before it works again; "" where it works
}

// String names it as people tell one from another.
func (d device) String() string {
	if d.profile != "" {
		return fmt.Sprintf("%s (MIG %s of %s)", d.uuid, d.profile, d.model)
	}
	return fmt.Sprintf("%s (%s)", d.uuid, d.model)
}

// devices are in nvidia-smi's order. A partitioned card is none itself.
func (m machine) devices() []device {
	var all []device
	for _, gpu := range m.gpus.GPUs {
		all = append(all, devicesOf(gpu)...)
	}
	return all
}

func devicesOf(gpu box.GPU) []device {
	if !gpu.MIG {
		return []device{{uuid: gpu.UUID, card: gpu.UUID, model: gpu.Model, memory: gpu.Memory, broken: gpu.Recovery}}
	}
	var parts []device
	for _, i := range gpu.Instances {
		parts = append(parts, device{uuid: i.UUID, card: gpu.UUID, model: gpu.Model, profile: i.Profile, memory: i.Memory, broken: gpu.Recovery})
	}
	return parts
}

func (m machine) device(uuid string) (device, bool) {
	all := m.devices()
	i := slices.IndexFunc(all, func(d device) bool { return d.uuid == uuid })
	if i < 0 {
		return device{}, false
	}
	return all[i], true
}

// cdiPrefix begins the CDI names of NVIDIA's devices.
const cdiPrefix = "nvidia.com/gpu="

// resolve is which devices a name means: all, an index as nvidia-smi counts,
// index:index for an instance, a UUID or the beginning of one, or any of these
// as a CDI name.
func (m machine) resolve(name string) []device {
	name = strings.TrimPrefix(name, cdiPrefix)
	if name == "all" {
		return m.devices()
	}
	card, part, isPart := strings.Cut(name, ":")
	if i, err := strconv.Atoi(card); err == nil {
		return m.byIndex(i, part, isPart)
	}
	return slices.DeleteFunc(m.devices(), func(d device) bool {
		return !isPrefixOfUUID(name, d.uuid) && !isPrefixOfUUID(name, d.card)
	})
}

// isPrefixOfUUID: the driver takes the beginning of a UUID for the whole.
func isPrefixOfUUID(name, uuid string) bool {
	return len(name) > len("GPU-") && strings.HasPrefix(uuid, name)
}

func (m machine) byIndex(card int, part string, isPart bool) []device {
	if card < 0 || card >= len(m.gpus.GPUs) {
		return nil
	}
	parts := devicesOf(m.gpus.GPUs[card])
	if !isPart {
		return parts
	}
	if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(parts) && parts[i].profile != "" {
		return parts[i : i+1]
	}
	return nil
}

// byMinor is what /dev/nvidia<minor> is, which need not be the GPU of that index.
func (m machine) byMinor(minor int) []device {
	for _, gpu := range m.gpus.GPUs {
		if gpu.Minor == minor {
			return devicesOf(gpu)
		}
	}
	return nil
}

// knowsCDI: the engine can hand this device out by its CDI name.
func (m machine) knowsCDI(uuid string) bool { return slices.Contains(m.cdi, cdiPrefix+uuid) }

func observeMachine(ctx context.Context, api *client.Client) (machine, error) {
	result, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return machine{}, err
	}
	info := result.Info
	m := machine{
		nanoCPUs: int64(info.NCPU) * 1e9, memory: info.MemTotal,
		cdi: cdiNames(info.DiscoveredDevices), runtime: info.DefaultRuntime, cgroupV2: info.CgroupVersion == "2",
	}
	if !docker.IsLocal(api) {
		m.noGPUs = "the engine is on another machine, whose driver cannot be asked from here: run provision there"
		m.noCores = "the engine is on another machine: run provision there"
		return m, nil
	}
	if m.gpus, err = box.ReadInventory(ctx); err != nil {
		m.noGPUs = err.Error()
	}
	if m.cores, err = readCores("/sys"); err != nil {
		m.noCores = err.Error()
	}
	if len(m.gpus.GPUs) > 0 {
		m.toolkit = toolkitVersion(ctx)
	}
	return m, nil
}

// toolkitVersion is the one in "NVIDIA Container Toolkit CLI version 1.20.1".
func toolkitVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "nvidia-ctk", "--version").Output()
	if err != nil {
		return ""
	}
	return regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(string(out))
}

func cdiNames(devices []system.DeviceInfo) []string {
	var names []string
	for _, d := range devices {
		if d.Source == "cdi" {
			names = append(names, d.ID)
		}
	}
	return names
}
