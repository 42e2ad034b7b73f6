package apply

import (
	"context"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/provision/plan"
)

// ObserveDevices returns each GPU of the engine's box, who holds it, and whose
// processes run on it. It fails if the GPUs cannot be counted.
func ObserveDevices(ctx context.Context, api *client.Client) ([]box.DeviceState, error) {
	b, err := ObserveBox(ctx, api)
	if err != nil {
		return nil, err
	}
	all, err := ObserveContainers(ctx, api, b)
	if err != nil {
		return nil, err
	}
	return DeviceStates(b, all)
}

// DeviceStates is ObserveDevices for a box whose containers are all known.
func DeviceStates(b box.Box, all []plan.Container) ([]box.DeviceState, error) {
	containers := []box.Container{} // not nil: it is known that there are none
	for _, c := range all {
		containers = append(containers, boxContainer(c))
	}
	return b.DeviceStates(containers)
}

// boxContainer returns what the box has to know of a container.
func boxContainer(c plan.Container) box.Container {
	known := box.Container{ID: c.ID, Name: c.Name, Project: c.Project(), State: c.State, Created: c.Created}
	if known.Project != "" {
		known.Host = c.HostName()
	}
	if c.Counts() {
		known.Holds = c.Claim.GPUs
	}
	return known
}
