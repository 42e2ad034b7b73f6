package apply

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/plan"
)

// Observe reads the engine's state. It looks for these images; for containers of
// these projects it also asks who is using them.
func Observe(ctx context.Context, api *client.Client, images []string, projects ...string) (plan.Observed, error) {
	var o plan.Observed
	var err error
	if o.Box, err = ObserveBox(ctx, api); err != nil {
		return o, err
	}
	if o.NoKeep, err = observeStore(ctx, api); err != nil {
		return o, err
	}
	if o.Images, err = ObserveImages(ctx, api, images); err != nil {
		return o, err
	}
	if o.ImageConfigs, err = observeImageConfigs(ctx, api, o.Images); err != nil {
		return o, err
	}
	if err := observeNetworks(ctx, api, &o); err != nil {
		return o, err
	}
	if err := observeVolumes(ctx, api, &o); err != nil {
		return o, err
	}
	if o.Containers, err = ObserveContainers(ctx, api, o.Box); err != nil {
		return o, err
	}
	if o.Kept, err = ObserveKept(ctx, api, o.Containers); err != nil {
		return o, err
	}
	for i, c := range o.Containers {
		if err := observeMadeFrom(ctx, api, c, projects, o.Images); err != nil {
			return o, err
		}
		if c.Running && (slices.Contains(projects, c.Project()) || slices.Contains(projects, c.ComposeProject())) {
			if o.Containers[i].Users, err = usersOf(ctx, api, c, o.Box); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// observeStore returns why the engine's image store cannot load our images; "" if it
// can. containerd's demands the files of layers that it already has.
func observeStore(ctx context.Context, api *client.Client) (string, error) {
	result, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", err
	}
	for _, status := range result.Info.DriverStatus {
		if status[0] == "driver-type" && strings.HasPrefix(status[1], "io.containerd.snapshotter") {
			return "the engine keeps its images in containerd's store", nil
		}
	}
	return "", nil
}

// observeMadeFrom adds the image that a container of these projects was created from,
// by its id, if it still exists.
func observeMadeFrom(ctx context.Context, api *client.Client, c plan.Container, projects []string, images map[string]string) error {
	id := c.Labels[labels.Image]
	if id == "" || !slices.Contains(projects, c.Project()) {
		return nil
	}
	found, err := ObserveImages(ctx, api, []string{id})
	maps.Copy(images, found)
	return err
}

// ObserveBox reads what the engine's box has.
func ObserveBox(ctx context.Context, api *client.Client) (box.Box, error) {
	engine, err := ObserveEngine(ctx, api)
	switch {
	case err != nil:
		return box.Box{}, err
	case engine.Elsewhere:
		return readElsewhere(ctx, api, engine), nil
	}
	return box.Read(ctx, engine), nil
}

// ObserveEngine reads what the engine says about its box.
func ObserveEngine(ctx context.Context, api *client.Client) (box.Engine, error) {
	result, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return box.Engine{}, err
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
	return engine, nil
}

// ObserveImages returns the ids of those images that exist, by reference.
func ObserveImages(ctx context.Context, api *client.Client, refs []string) (map[string]string, error) {
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

// observeImageConfigs returns the default settings that images have for containers,
// by reference.
func observeImageConfigs(ctx context.Context, api *client.Client, ids map[string]string) (map[string]plan.ImageConfig, error) {
	configs := map[string]plan.ImageConfig{}
	for ref, id := range ids {
		found, err := api.ImageInspect(ctx, id)
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
		if err == nil && found.Config != nil {
			configs[ref] = plan.ImageConfig{Env: found.Config.Env, Entrypoint: found.Config.Entrypoint, Cmd: found.Config.Cmd}
		}
	}
	return configs, nil
}

func observeNetworks(ctx context.Context, api *client.Client, o *plan.Observed) error {
	list, err := api.NetworkList(ctx, client.NetworkListOptions{})
	o.Networks, o.NetworkStates = map[string]map[string]string{}, map[string]plan.NetworkState{}
	for _, n := range list.Items {
		o.Networks[n.Name] = n.Labels
		is := plan.NetworkState{ID: n.ID, Driver: n.Driver, Internal: n.Internal, Attachable: n.Attachable, IPv6: n.EnableIPv6, Options: n.Options}
		for _, pool := range n.IPAM.Config {
			is.Subnets = append(is.Subnets, pool.Subnet)
		}
		o.NetworkStates[n.Name] = is
	}
	return err
}

func observeVolumes(ctx context.Context, api *client.Client, o *plan.Observed) error {
	list, err := api.VolumeList(ctx, client.VolumeListOptions{})
	o.Volumes, o.VolumeStates = map[string]map[string]string{}, map[string]plan.VolumeState{}
	for _, v := range list.Items {
		o.Volumes[v.Name] = v.Labels
		o.VolumeStates[v.Name] = plan.VolumeState{Driver: v.Driver, Options: v.Options}
	}
	return err
}

// ObserveContainers returns every container of the engine with its claim on the box,
// ordered by name. It does not ask who is using them.
func ObserveContainers(ctx context.Context, api *client.Client, b box.Box) ([]plan.Container, error) {
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
		Done:       c.State.Status == container.StateExited && c.State.ExitCode == 0,
		State:      string(c.State.Status),
		Since:      since(c),
		Created:    timeOf(c.Created),
		PID:        c.State.Pid,
		Image:      c.Config.Image,
		ImageID:    c.Image,
		Health:     c.Config.Healthcheck,
	}
	e.Claim = claimOf(b, e, c.Config, c.HostConfig)
	for _, d := range visible(b, c.Config, c.HostConfig) {
		e.Sees = append(e.Sees, d.UUID)
	}
	e.NetworkIDs = map[string]string{}
	for name, endpoint := range c.NetworkSettings.Networks {
		e.Networks = append(e.Networks, name)
		if endpoint != nil {
			e.NetworkIDs[name] = endpoint.NetworkID
		}
	}
	return e
}

// since returns when the container entered its state; the zero time if the engine
// does not say.
func since(c container.InspectResponse) time.Time {
	switch {
	case c.State.Running:
		return timeOf(c.State.StartedAt)
	case c.State.Status == container.StateCreated:
		return timeOf(c.Created)
	}
	return timeOf(c.State.FinishedAt)
}

// timeOf parses a time as the engine writes it.
func timeOf(text string) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, text)
	return at
}

// usersOf returns who is using a container: ssh sessions by account and terminal,
// sessions of the gateway's helper, processes that these or docker exec have left
// running, and processes on its GPUs.
func usersOf(ctx context.Context, api *client.Client, c plan.Container, b box.Box) ([]string, error) {
	top, err := api.ContainerTop(ctx, c.ID, client.ContainerTopOptions{Arguments: []string{"-eo", "pid,ppid,args"}})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil, nil // it has ended meanwhile
	}
	if err != nil {
		return nil, err
	}
	processes := box.ParseProcesses(top.Processes)
	var probe []string
	if c.Health != nil {
		probe = c.Health.Test
	}
	return slices.Concat(b.Procs.Sessions(processes), b.Procs.Left(processes, c.PID, probe), b.OnGPUs(processes)), nil
}

// InUse returns those of the containers that people are on, with their users.
func InUse(ctx context.Context, api *client.Client, containers []plan.Container) (used []plan.Container, err error) {
	b, err := ObserveBox(ctx, api)
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		if !c.Running {
			continue
		}
		if c.Users, err = usersOf(ctx, api, c, b); err != nil {
			return nil, err
		}
		if len(c.Users) > 0 {
			used = append(used, c)
		}
	}
	return used, nil
}

// WhyEnded returns why a container does not run; the zero value if it runs, or is
// gone meanwhile.
func WhyEnded(ctx context.Context, api *client.Client, c plan.Container) docker.Ending {
	if c.Running {
		return docker.Ending{}
	}
	result, err := api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if err != nil {
		return docker.Ending{}
	}
	return docker.WhyEnded(ctx, api, result.Container)
}
