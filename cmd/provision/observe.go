package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"berth/box"
	"berth/docker"
	"berth/provision/plan"
)

// observe looks at the engine. images are the ones to look for; of containers
// in these projects it is asked who is on them.
func observe(ctx context.Context, api *client.Client, images []string, projects ...string) (plan.Observed, error) {
	var o plan.Observed
	var err error
	if o.Box, err = observeBox(ctx, api); err != nil {
		return o, err
	}
	if o.Images, err = observeImages(ctx, api, images); err != nil {
		return o, err
	}
	if o.Networks, err = observeNetworks(ctx, api); err != nil {
		return o, err
	}
	if o.Volumes, err = observeVolumes(ctx, api); err != nil {
		return o, err
	}
	if o.Containers, err = observeContainers(ctx, api, o.Box); err != nil {
		return o, err
	}
	for i, c := range o.Containers {
		if c.Running && (slices.Contains(projects, c.Project()) || slices.Contains(projects, c.ComposeProject())) {
			if o.Containers[i].Users, err = usersOf(ctx, api, c, o.Box); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// observeBox reads what the engine's box has.
func observeBox(ctx context.Context, api *client.Client) (box.Box, error) {
	result, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return box.Box{}, err
	}
	info := result.Info
	engine := box.Engine{
		NanoCPUs: int64(info.NCPU) * 1e9, Memory: info.MemTotal,
		Runtime: info.DefaultRuntime, CgroupV2: info.CgroupVersion == "2", Elsewhere: !docker.IsLocal(api),
	}
	for _, d := range info.DiscoveredDevices {
		if d.Source == "cdi" {
			engine.CDI = append(engine.CDI, d.ID)
		}
	}
	return box.Read(ctx, engine), nil
}

func observeImages(ctx context.Context, api *client.Client, refs []string) (map[string]string, error) {
	ids := map[string]string{}
	for _, ref := range refs {
		found, err := api.ImageInspect(ctx, ref)
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
		if err == nil {
			ids[ref] = found.ID
		}
	}
	return ids, nil
}

func observeNetworks(ctx context.Context, api *client.Client) (map[string]map[string]string, error) {
	list, err := api.NetworkList(ctx, client.NetworkListOptions{})
	found := map[string]map[string]string{}
	for _, n := range list.Items {
		found[n.Name] = n.Labels
	}
	return found, err
}

func observeVolumes(ctx context.Context, api *client.Client) (map[string]map[string]string, error) {
	list, err := api.VolumeList(ctx, client.VolumeListOptions{})
	found := map[string]map[string]string{}
	for _, v := range list.Items {
		found[v.Name] = v.Labels
	}
	return found, err
}

func observeContainers(ctx context.Context, api *client.Client, b box.Box) ([]plan.Container, error) {
	list, err := api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	var found []plan.Container
	for _, summary := range list.Items {
		inspected, err := api.ContainerInspect(ctx, summary.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue // removed since the list was made
		}
		if err != nil {
			return nil, err
		}
		found = append(found, existingOf(inspected.Container, b))
	}
	slices.SortFunc(found, func(one, two plan.Container) int { return strings.Compare(one.Name, two.Name) })
	return found, nil
}

func existingOf(c container.InspectResponse, b box.Box) plan.Container {
	policy := c.HostConfig.RestartPolicy.Name
	e := plan.Container{
		ID:         c.ID,
		Name:       strings.TrimPrefix(c.Name, "/"),
		Labels:     c.Config.Labels,
		Mounts:     c.Mounts,
		HostConfig: *c.HostConfig,
		Running:    c.State.Running && !c.State.Restarting,
		Restarts:   policy != "" && policy != container.RestartPolicyDisabled,
		State:      string(c.State.Status),
		Since:      since(c),
		Created:    c.Created,
	}
	e.Claim = claimOf(b, e, c.Config, c.HostConfig)
	for name := range c.NetworkSettings.Networks {
		e.Networks = append(e.Networks, name)
	}
	return e
}

// since when the container is in its state.
func since(c container.InspectResponse) time.Time {
	text := c.State.FinishedAt
	switch {
	case c.State.Running:
		text = c.State.StartedAt
	case c.State.Status == container.StateCreated:
		text = c.Created
	}
	at, _ := time.Parse(time.RFC3339Nano, text)
	return at
}
