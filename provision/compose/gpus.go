package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"berth/ledger"
)

// GPUs is what a service asks for. Which devices it gets, the ledger decides.
type GPUs struct {
	ledger.GPUAsk
	Capabilities []string // of the driver, which the container sees
	Options      map[string]string
}

// wantGPUs returns what a service asks for in compose's words, which say how many,
// and in x-berth, which says of which kind.
func wantGPUs(c types.ServiceConfig, asked ledger.GPUAsk) (GPUs, error) {
	w := GPUs{GPUAsk: asked}
	for _, r := range deviceRequests(c) {
		if !IsGPU(r) {
			continue
		}
		w.Options = r.Options
		w.Capabilities = slices.Concat(r.Capabilities...)
		w.IDs = append(w.IDs, r.DeviceIDs...)
		if w.Count = w.Count + int64(r.Count); r.Count == ledger.Every {
			w.Count = ledger.Every
		}
	}
	if value := c.Environment[EnvVisible]; w.None() && value != nil {
		w.IDs = VisibleDevices([]string{EnvVisible + "=" + *value})
	}
	if slices.Contains(w.IDs, "all") {
		w.Count, w.IDs = ledger.Every, nil
	}
	if w.None() && saysWhich(asked) {
		w.Count = 1
	}
	if len(w.IDs) > 0 && (w.Count != 0 || w.Model != "" || w.MIG != "") {
		return w, fmt.Errorf("names its GPUs (%s), so it can not ask for a number, model or MIG profile too", strings.Join(w.IDs, ", "))
	}
	return w, nil
}

// saysWhich reports whether x-berth.gpu asks for anything.
func saysWhich(a ledger.GPUAsk) bool { return a.Model != "" || a.Memory > 0 || a.Share || a.MIG != "" }

const knownGPUSettings = "memory, mig, model, share"

// setGPU reads x-berth.gpu. It returns what is wrong with it, or "".
func setGPU(a *ledger.GPUAsk, value any) (wrong string) {
	keys, isMap := value.(map[string]any)
	if !isMap || len(keys) == 0 {
		return "holds keys (" + knownGPUSettings + "), such as {share: true, memory: 8G}"
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

// VisibleDevices returns the names in NVIDIA_VISIBLE_DEVICES of an environment.
func VisibleDevices(env []string) []string {
	value := ""
	for _, entry := range env {
		if text, ok := strings.CutPrefix(entry, EnvVisible+"="); ok {
			value = text
		}
	}
	switch value {
	case "", "void", "none":
		return nil
	}
	return strings.Split(value, ",")
}

// EnvVisible is the variable that tells the NVIDIA runtime which GPUs a container
// sees.
const EnvVisible = "NVIDIA_VISIBLE_DEVICES"
