package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
)

// gpuWish is what a service asks for; which devices it gets is the ledger's to
// say.
type gpuWish struct {
	count        int64    // or allGPUs
	ids          []string // named in the file, instead of a count
	model        string   // part of the model's name
	memory       int64    // of each at least; the budget on it where shared
	share        bool
	mig          string // profile of an instance
	capabilities []string
	options      map[string]string
}

func (w gpuWish) none() bool { return w.count == 0 && len(w.ids) == 0 }

// budget is how much of a device's memory is wanted, 0 for the whole device.
func (w gpuWish) budget() int64 {
	if w.share {
		return w.memory
	}
	return 0
}

func (w gpuWish) suits(d device) bool {
	return d.profile == w.mig && d.memory >= w.memory &&
		strings.Contains(strings.ToLower(d.model), strings.ToLower(w.model))
}

// String is the wish as refusals and plans have it.
func (w gpuWish) String() string {
	what, many := "gpu", "s"
	switch {
	case len(w.ids) > 0:
		return "gpu " + strings.Join(w.ids, " and ")
	case w.mig != "":
		what = "MIG " + w.mig
		many = ""
	case w.model != "":
		what = w.model
		many = ""
	}
	text := strconv.FormatInt(w.count, 10) + " " + what
	if w.count == allGPUs {
		text = "every " + what
	} else if w.count != 1 {
		text += many
	}
	switch {
	case w.share:
		text += ", shared, with " + inBytes(w.memory) + " on it"
	case w.memory > 0:
		text += " with " + inBytes(w.memory)
	}
	return text
}

// wishOf is what compose and x-berth ask for together: the one says how many,
// the other which.
func wishOf(c types.ServiceConfig, asked gpuWish) (gpuWish, error) {
	w := asked
	for _, r := range deviceRequests(c) {
		if !isGPU(r) {
			continue
		}
		w.options = r.Options
		w.capabilities = slices.Concat(r.Capabilities...)
		w.ids = append(w.ids, r.DeviceIDs...)
		if w.count = w.count + int64(r.Count); r.Count == allGPUs {
			w.count = allGPUs
		}
	}
	if value := c.Environment[envVisible]; w.none() && value != nil {
		w.ids = visibleDevices([]string{envVisible + "=" + *value})
	}
	if slices.Contains(w.ids, "all") {
		w.count, w.ids = allGPUs, nil
	}
	if w.none() && asked.asks() {
		w.count = 1
	}
	if len(w.ids) > 0 && (w.count != 0 || w.model != "" || w.mig != "") {
		return w, fmt.Errorf("names its GPUs (%s), so it can not ask for a number, model or MIG profile too", strings.Join(w.ids, ", "))
	}
	return w, nil
}

// asks: x-berth.gpu says something.
func (w gpuWish) asks() bool { return w.model != "" || w.memory > 0 || w.share || w.mig != "" }

const knownGPUSettings = "memory, mig, model, share"

// set reads x-berth.gpu; it returns what is wrong with it, or nothing.
func (w *gpuWish) set(value any) (wrong string) {
	keys, isMap := value.(map[string]any)
	if !isMap || len(keys) == 0 {
		return "holds keys (" + knownGPUSettings + "), such as {share: true, memory: 8G}"
	}
	for key, value := range keys {
		if wrong := w.setKey(key, value); wrong != "" {
			return wrong
		}
	}
	if w.share && w.memory == 0 {
		return "shares a GPU, so it says how much of its memory: {share: true, memory: 8G}"
	}
	return ""
}

func (w *gpuWish) setKey(key string, value any) (wrong string) {
	text := fmt.Sprint(value)
	switch key {
	case "share":
		on, isBool := value.(bool)
		if w.share = on; !isBool {
			return "has share: true or false"
		}
	case "memory":
		amount, err := units.RAMInBytes(text)
		if w.memory = amount; err != nil || amount <= 0 {
			return fmt.Sprintf("has an amount as memory, such as 8G, not %q", text)
		}
	case "model":
		w.model = text
	case "mig":
		w.mig = text
	default:
		return fmt.Sprintf("has no key %s; it knows %s", key, knownGPUSettings)
	}
	return ""
}

// meant is what a service will see: a privileged one sees every GPU, asked for
// or not.
func (m machine) meant(s wantedService) gpuWish {
	if s.hostConfig.Privileged && s.gpus.none() && len(m.devices()) > 0 {
		return gpuWish{count: allGPUs}
	}
	return s.gpus
}

// request is how the engine is told to hand the devices out: by CDI name where
// it knows them, which survives updates and systemd; else by the hook.
func (m machine) request(w gpuWish, given []device) container.DeviceRequest {
	var uuids, names []string
	for _, d := range given {
		uuids, names = append(uuids, d.uuid), append(names, cdiPrefix+d.uuid)
	}
	if !slices.ContainsFunc(uuids, func(uuid string) bool { return !m.knowsCDI(uuid) }) {
		return container.DeviceRequest{Driver: "cdi", DeviceIDs: names}
	}
	capabilities := []string{"gpu", "compute", "utility"}
	for _, c := range w.capabilities {
		if c != "" && !slices.Contains(capabilities, c) {
			capabilities = append(capabilities, c)
		}
	}
	return container.DeviceRequest{Driver: "nvidia", DeviceIDs: uuids, Capabilities: [][]string{capabilities}, Options: w.options}
}
