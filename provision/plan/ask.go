package plan

import (
	"slices"

	"github.com/moby/moby/api/types/container"

	"berth/box"
	"berth/ledger"
	"berth/provision/compose"
)

// askOf returns what the ledger is asked for a service. had is what its container
// holds today.
func askOf(s compose.Service, b box.Box, had ledger.Claim) ledger.Ask {
	ask := ledger.Ask{Host: s.Host, Reserved: s.Reserved, Limit: s.Limits, GPUs: s.GPUs.GPUAsk, Pin: s.Pinned, Had: had}
	if s.HostConfig.Privileged && s.GPUs.None() && len(b.Devices()) > 0 { // it sees every GPU, asked for or not
		ask.GPUs = ledger.GPUAsk{Count: ledger.Every}
	}
	return ask
}

// requestFor returns how the engine is asked for the devices: by their CDI names
// where it knows them, which survives updates and systemd; else by NVIDIA's hook.
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
