package plan

import (
	"fmt"
	"slices"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/compose"
)

// askOf returns what to ask the ledger for a service. had is what its container holds
// now. Device nodes that the files map are asked for like GPUs, but no device request
// is made for them.
func askOf(s compose.Service, had ledger.Claim) ledger.Ask {
	ask := ledger.Ask{Host: s.Host, Reserved: s.Reserved, Limit: s.Limits, GPUs: s.GPUs.GPUAsk, Pin: s.Pinned, Had: had}
	if s.GPUs.None() && !s.GPUs.Unused {
		ask.GPUs.IDs = s.GPUs.Nodes
	}
	if slices.Contains(ask.GPUs.IDs, "all") {
		ask.GPUs = ledger.GPUAsk{Count: ledger.Every}
	}
	return ask
}

// unseen returns why a service that would see GPUs without asking for one cannot be
// planned: as long as the driver does not answer, it is unknown whose these GPUs are.
func unseen(s compose.Service, b box.Box) string {
	if !s.HostConfig.Privileged || !s.GPUs.None() || s.GPUs.Unused || b.NoGPUs == "" || b.Elsewhere {
		return ""
	}
	return fmt.Sprintf("%s: privileged, it sees every GPU, but the GPUs cannot be counted: %s; %s.gpu: none says that it uses none", s.Name, b.NoGPUs, compose.Extension)
}

// namedTwice returns a warning for each GPU that a service names more than once.
func namedTwice(want compose.Wanted, b box.Box) []string {
	var lines []string
	for _, s := range want.Services {
		first := map[string]string{} // first name, by UUID
		for _, name := range askOf(s, ledger.Claim{}).GPUs.IDs {
			for _, d := range b.Resolve(name) {
				if before, is := first[d.UUID]; is {
					lines = append(lines, fmt.Sprintf("%s: names one GPU twice, by %s and by %s; it gets it once", s.Name, before, name))
					continue
				}
				first[d.UUID] = name
			}
		}
	}
	return lines
}

// seers returns a warning for each service that sees every GPU and reserves none.
func seers(want compose.Wanted, b box.Box) []string {
	var lines []string
	for _, s := range want.Services {
		if s.HostConfig.Privileged && s.GPUs.None() && !s.GPUs.Unused && len(b.Devices()) > 0 {
			lines = append(lines, fmt.Sprintf("%s: privileged, it sees every GPU, and reserves none; if it uses some it has to ask for them, and if not %s.gpu: none says so", s.Name, compose.Extension))
		}
	}
	return lines
}

// requestFor returns the engine's request for the devices: by their CDI names if the
// engine knows these, which survives updates and reloads of systemd; otherwise by
// NVIDIA's hook.
func requestFor(b box.Box, w compose.GPUs, given []box.Device) container.DeviceRequest {
	var uuids, names []string
	for _, d := range given {
		uuids, names = append(uuids, d.UUID), append(names, box.CDIPrefix+d.UUID)
	}
	if !slices.ContainsFunc(uuids, func(uuid string) bool { return !b.KnowsCDI(uuid) }) {
		return container.DeviceRequest{Driver: "cdi", DeviceIDs: names}
	}
	capabilities := []string{"gpu", "compute", "utility"}
	for _, c := range w.Capabilities {
		if c != "" && !slices.Contains(capabilities, c) {
			capabilities = append(capabilities, c)
		}
	}
	return container.DeviceRequest{Driver: "nvidia", DeviceIDs: uuids, Capabilities: [][]string{capabilities}, Options: w.Options}
}
