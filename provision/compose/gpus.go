package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/ledger"
)

// GPUs is what a service asks for. The ledger decides which devices it gets.
type GPUs struct {
	ledger.GPUAsk
	Capabilities []string // of the driver that are visible in the container
	Options      map[string]string
	Nodes        []string // device nodes of GPUs that the files map themselves; "all": every one
	Unused       bool     // x-berth.gpu is none: it sees the GPUs that the files name, and holds none of them
	Silent       bool     // which GPUs the NVIDIA runtime shows is left to the image's variables
}

// wantGPUs returns what a service asks for: how many in compose's own keys, and of
// which kind in x-berth.
func wantGPUs(c types.ServiceConfig, s Settings) (GPUs, error) {
	w := GPUs{GPUAsk: s.gpu, Unused: s.noGPU, Nodes: gpuNodes(c)}
	for _, r := range deviceRequests(c) {
		if isOthers(r) {
			return w, fmt.Errorf("asks for a GPU of driver %s, and provision knows those of NVIDIA alone: map its nodes with devices, such as /dev/dri or /dev/kfd", r.Driver)
		}
		if !IsGPU(r) {
			continue
		}
		w.Options = r.Options
		w.Capabilities = slices.Concat(r.Capabilities...)
		w.IDs = append(w.IDs, box.Names(r.DeviceIDs...)...)
		if w.Count = w.Count + int64(r.Count); r.Count == ledger.Every {
			w.Count = ledger.Every
		}
	}
	value := c.Environment[EnvVisible]
	if w.None() && value != nil {
		w.IDs = VisibleDevices([]string{EnvVisible + "=" + *value})
	}
	if capabilities := c.Environment[EnvCapabilities]; capabilities != nil {
		w.Capabilities = append(w.Capabilities, DriverCapabilities(*capabilities)...)
	}
	if slices.Contains(w.IDs, "all") {
		w.Count, w.IDs = ledger.Every, nil
	}
	if w.None() && saysWhich(s.gpu) {
		w.Count = 1
	}
	w.Silent = w.None() && value == nil && !w.Unused
	if w.Unused { // the files' own settings for the engine and the runtime stay, and decide what it sees
		w.GPUAsk = ledger.GPUAsk{}
	}
	if len(w.IDs) > 0 && (w.Count != 0 || w.Model != "" || w.MIG != "") {
		return w, fmt.Errorf("names its GPUs (%s), so it can not ask for a number, model or MIG profile too", strings.Join(w.IDs, ", "))
	}
	return w, nil
}

// saysWhich reports whether x-berth.gpu asks for anything.
func saysWhich(a ledger.GPUAsk) bool { return a.Model != "" || a.Memory > 0 || a.Share || a.MIG != "" }

const knownGPUSettings = "memory, mig, model, share"

// setGPU parses an x-berth.gpu that is not none. It returns what is wrong with it, or
// "".
func setGPU(a *ledger.GPUAsk, value any) (wrong string) {
	keys, isMap := value.(map[string]any)
	if !isMap || len(keys) == 0 {
		return "holds keys (" + knownGPUSettings + "), such as {share: true, memory: 8G}; or is none"
	}
	for key, value := range keys {
		if wrong := setGPUKey(a, key, value); wrong != "" {
			return wrong
		}
	}
	if a.Share && a.Memory == 0 {
		return "shares a GPU, so it says how much of its memory: {share: true, memory: 8G}"
	}
	return ""
}

func setGPUKey(a *ledger.GPUAsk, key string, value any) (wrong string) {
	text := fmt.Sprint(value)
	switch key {
	case "share":
		on, isBool := value.(bool)
		if a.Share = on; !isBool {
			return "has share: true or false"
		}
	case "memory":
		amount, err := units.RAMInBytes(text)
		if a.Memory = amount; err != nil || amount <= 0 {
			return fmt.Sprintf("has an amount as memory, such as 8G, not %q", text)
		}
	case "model":
		a.Model = text
	case "mig":
		a.MIG = text
	default:
		return fmt.Sprintf("has no key %s; it knows %s", key, knownGPUSettings)
	}
	return ""
}

// isOthers reports whether a request is for a GPU of another vendor than NVIDIA.
func isOthers(r container.DeviceRequest) bool {
	return hasCapability(r, "gpu") && !slices.Contains([]string{"", "nvidia", "cdi"}, r.Driver)
}

// gpuNodes returns the device nodes of GPUs that a service maps itself: single ones,
// or all with /dev if a rule allows their use.
func gpuNodes(c types.ServiceConfig) []string {
	var nodes []string
	for _, d := range c.Devices {
		if _, is := box.MinorOf(d.Source); is {
			nodes = append(nodes, d.Source)
		}
		if d.Source == "/dev" {
			return []string{"all"}
		}
	}
	for _, v := range c.Volumes {
		if v.Type == types.VolumeTypeBind && v.Source == "/dev" && RulesAllowGPUs(c.DeviceCgroupRules) {
			return []string{"all"}
		}
	}
	return nodes
}

// RulesAllowGPUs reports whether device_cgroup_rules allow the use of NVIDIA's device
// nodes, whose major number is 195.
func RulesAllowGPUs(rules []string) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		fields := strings.Fields(rule)
		if len(fields) > 0 && fields[0] == "a" {
			return true
		}
		return len(fields) > 1 && fields[0] == "c" && (strings.HasPrefix(fields[1], "195:") || strings.HasPrefix(fields[1], "*:"))
	})
}

// VisibleDevices returns the names in NVIDIA_VISIBLE_DEVICES of an environment.
func VisibleDevices(env []string) []string {
	switch value := Variable(env, EnvVisible); value {
	case "", "void", "none":
		return nil
	default:
		return box.Names(value)
	}
}

// Variable returns the last value of a variable in an environment; "" if it is not
// set.
func Variable(env []string, name string) string {
	value := ""
	for _, entry := range env {
		if text, ok := strings.CutPrefix(entry, name+"="); ok {
			value = text
		}
	}
	return value
}

// DriverCapabilities returns the names in a value of NVIDIA_DRIVER_CAPABILITIES, as
// the engine knows them.
func DriverCapabilities(value string) []string {
	names := box.Names(value)
	if slices.Contains(names, "all") {
		return []string{"compute", "compat32", "graphics", "utility", "video", "display"}
	}
	return names
}

const (
	// EnvVisible is the variable from which the NVIDIA runtime reads which GPUs a
	// container may see.
	EnvVisible = "NVIDIA_VISIBLE_DEVICES"

	// EnvCapabilities is the variable from which it reads which parts of the driver.
	EnvCapabilities = "NVIDIA_DRIVER_CAPABILITIES"
)
