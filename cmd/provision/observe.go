package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// observed is what is there.
type observed struct {
	machine    resources                    // what there is to reserve from
	images     map[string]string            // ids by reference
	networks   map[string]map[string]string // labels by name
	volumes    map[string]map[string]string
	containers []existing // every one that provision made, and those whose names are wanted
}

// existing is a container as it is now.
type existing struct {
	id       string
	name     string
	labels   map[string]string
	networks []string
	running  bool
	state    string    // the engine's word
	since    time.Time // of that state
	reserved resources
}

func (o observed) container(name string) (existing, bool) {
	for _, c := range o.containers {
		if c.name == name {
			return c, true
		}
	}
	return existing{}, false
}

func (e existing) project() string { return e.labels[labelProject] }

// anyNumber stands for GPUs that nobody here can count.
const anyNumber = 1 << 20

// observe looks at the engine. images are the ones to look for; containers that
// provision did not make are looked at if their name is among names.
func observe(ctx context.Context, api *client.Client, images, names []string) (observed, error) {
	var o observed
	var err error
	if o.machine, err = observeMachine(ctx, api); err != nil {
		return o, err
	}
	if o.images, err = observeImages(ctx, api, images); err != nil {
		return o, err
	}
	if o.networks, err = observeNetworks(ctx, api); err != nil {
		return o, err
	}
	if o.volumes, err = observeVolumes(ctx, api); err != nil {
		return o, err
	}
	o.containers, err = observeContainers(ctx, api, names)
	return o, err
}

func observeMachine(ctx context.Context, api *client.Client) (resources, error) {
	info, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return resources{}, err
	}
	machine := resources{nanoCPUs: int64(info.Info.NCPU) * 1e9, memory: info.Info.MemTotal}
	if isLocal(api) {
		machine.gpus = int64(localGPUs(ctx))
		return machine, nil
	}
	machine.gpus = anyNumber
	return machine, nil
}

// isLocal: the engine runs here, and what is on this machine it can mount.
func isLocal(api *client.Client) bool { return strings.HasPrefix(api.DaemonHost(), "unix://") }

// localGPUs counts what the driver shows; nvidia-smi also knows MIG's parts,
// which are not GPUs of their own here.
func localGPUs(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // a sick driver answers never
	defer cancel()
	if list, err := exec.CommandContext(ctx, "nvidia-smi", "-L").Output(); err == nil {
		return strings.Count("\n"+string(list), "\nGPU ")
	}
	cards, err := os.ReadDir("/proc/driver/nvidia/gpus")
	if err != nil {
		return 0 // no driver
	}
	return len(cards)
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

func observeContainers(ctx context.Context, api *client.Client, names []string) ([]existing, error) {
	list, err := api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	var found []existing
	for _, summary := range list.Items {
		if !isOurs(summary, names) {
			continue
		}
		inspected, err := api.ContainerInspect(ctx, summary.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue // removed since the list was made
		}
		if err != nil {
			return nil, err
		}
		found = append(found, existingOf(inspected.Container))
	}
	slices.SortFunc(found, func(one, two existing) int { return strings.Compare(one.name, two.name) })
	return found, nil
}

func isOurs(c container.Summary, names []string) bool {
	if _, made := c.Labels[labelProject]; made {
		return true
	}
	return slices.ContainsFunc(c.Names, func(name string) bool {
		return slices.Contains(names, strings.TrimPrefix(name, "/"))
	})
}

func existingOf(c container.InspectResponse) existing {
	e := existing{
		id:      c.ID,
		name:    strings.TrimPrefix(c.Name, "/"),
		labels:  c.Config.Labels,
		running: c.State.Running && !c.State.Restarting,
		state:   string(c.State.Status),
		since:   since(c),
		reserved: resources{
			memory: c.HostConfig.MemoryReservation,
			gpus:   gpuCount(c.HostConfig.DeviceRequests),
		},
	}
	e.reserved.nanoCPUs, _ = strconv.ParseInt(e.labels[labelCPUs], 10, 64)
	for name := range c.NetworkSettings.Networks {
		e.networks = append(e.networks, name)
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

// dial connects to the engine that DOCKER_HOST names, or to the one here.
func dial(ctx context.Context) (*client.Client, error) {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return nil, err
	}
	_, err = api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil && strings.Contains(err.Error(), "permission denied") { // the client hides the cause's type
		return nil, fmt.Errorf("no permission for the Docker engine at %s: be root, or in the group docker", api.DaemonHost())
	}
	if client.IsErrConnectionFailed(err) {
		return nil, fmt.Errorf("no Docker engine answers at %s: is it running?", api.DaemonHost())
	}
	return api, err
}
