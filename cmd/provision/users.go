package main

import (
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"berth/box"
	"berth/docker"
	"berth/provision/plan"
)

// usersOf is who is on a container: ssh sessions by account and terminal,
// sessions of the gateway's helper, and processes on its GPUs.
func usersOf(ctx context.Context, api *client.Client, c plan.Container, b box.Box) ([]string, error) {
	top, err := api.ContainerTop(ctx, c.ID, client.ContainerTopOptions{Arguments: []string{"-eo", "pid,ppid,args"}})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil, nil // it ended meanwhile
	}
	if err != nil {
		return nil, err
	}
	processes := box.ParseProcesses(top.Processes)
	return slices.Concat(procsOf(api).Sessions(processes), b.OnGPUs(processes)), nil
}

// procsOf are the processes of the engine's box, where that is this one.
func procsOf(api *client.Client) box.Procs {
	if !docker.IsLocal(api) {
		return ""
	}
	return "/proc"
}
