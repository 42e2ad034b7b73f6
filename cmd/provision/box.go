package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
)

// dial connects to the engine of the chosen box, until this program ends.
func (b onBox) dial(ctx context.Context) (*client.Client, error) {
	engine, err := b.engine(ctx)
	if err != nil {
		return nil, err
	}
	return engine.Client, nil
}

// engine connects to that engine; the caller must close the result.
func (b onBox) engine(ctx context.Context) (*docker.Engine, error) {
	at, err := b.address()
	if err != nil {
		return nil, err
	}
	return docker.Dial(ctx, at)
}

// address returns the address of that engine: the box's in gateway.yaml, or else the
// one that the docker command would use.
func (b onBox) address() (docker.Address, error) {
	if b.box == "" || b.box == hosts.LocalBox {
		return docker.Address{}, nil
	}
	settings, err := config.Load(b.config)
	if err != nil {
		return docker.Address{}, err
	}
	var known []string
	for _, box := range settings.Boxes {
		if box.Name == b.box {
			return docker.Address{URL: box.Docker, TLS: box.TLS}, nil
		}
		known = append(known, box.Name)
	}
	slices.Sort(known)
	if len(known) == 0 {
		return docker.Address{}, fmt.Errorf("there is no box %s: add it under boxes: in %s", b.box, b.config)
	}
	return docker.Address{}, fmt.Errorf("there is no box %s in %s; there are %s", b.box, b.config, strings.Join(known, ", "))
}

// isElsewhere reports whether a box was chosen that is not this machine.
func (b onBox) isElsewhere() bool { return b.box != "" && b.box != hosts.LocalBox }

// engineIsHere reports whether the engine, even if it does not run, is on this box.
func (b onBox) engineIsHere() bool {
	at, err := b.address()
	if err != nil {
		return false
	}
	engine, err := docker.Connect(at)
	if err != nil {
		return false
	}
	defer engine.Close()
	return docker.IsLocal(engine.Client)
}

// find returns the project's hosts with these names, or all of them if no names are
// given. Its error says which hosts exist.
func (b onBox) find(ctx context.Context, names []string) (*client.Client, []plan.Container, error) {
	api, project, all, err := b.observe(ctx)
	switch {
	case err != nil:
		return nil, nil, err
	case len(names) > 0:
		all, err = named(names, all, plan.Container.HostName)
	case project == "":
		err = errNoProject
	}
	return api, all, err
}

// observe returns the hosts of the project, or, without a project, all hosts that
// provision created.
func (b onBox) observe(ctx context.Context) (api *client.Client, project string, all []plan.Container, err error) {
	if project, err = compose.ProjectName(ctx, b.load); err != nil {
		return nil, "", nil, err
	}
	if api, err = b.dial(ctx); err != nil {
		return nil, "", nil, err
	}
	all, err = apply.ObserveContainers(ctx, api, box.Box{})
	all = slices.DeleteFunc(all, func(c plan.Container) bool { return c.Project() == "" || project != "" && c.Project() != project })
	return api, project, all, err
}
