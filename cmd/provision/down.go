package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

func downCommand(o *options) *cobra.Command {
	volumes := false
	command := &cobra.Command{
		Use:               "down [HOST…]",
		Short:             "Remove the project's containers and networks, or only the hosts named; keep volumes, unless --volumes",
		ValidArgsFunction: completeHosts(o),
		RunE: func(cmd *cobra.Command, names []string) error {
			if len(names) > 0 && volumes {
				return errors.New("--volumes is for the whole project: leave out the hosts")
			}
			return o.target().down(cmd, names, volumes)
		},
	}
	command.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove the volumes that provision made, too, with their data")
	return command
}

func (b onBox) down(cmd *cobra.Command, names []string, withVolumes bool) error {
	if len(names) > 0 {
		return b.downHosts(cmd, names)
	}
	ctx := cmd.Context()
	name, err := compose.ProjectName(ctx, b.load)
	if err != nil {
		return err
	}
	if name == "" {
		return fmt.Errorf("%w, or a project with -p", compose.ErrNoFile)
	}
	api, err := b.dial(ctx)
	if err != nil {
		return err
	}
	have, err := apply.Observe(ctx, api, nil, name)
	if err != nil {
		return err
	}
	p := plan.Down(name, have, withVolumes)
	showPlan(cmd, p)
	if err := confirm(cmd, p, b.yes); err != nil {
		return err
	}
	e := &apply.Executor{API: api, Progress: progress.New(os.Stderr)}
	tell(ctx, e, usedOf(name, have), plan.OpRemove)
	return e.Apply(ctx, p)
}

// usedOf returns the containers of a project that people are on.
func usedOf(project string, have plan.Observed) []plan.Container {
	return slices.DeleteFunc(slices.Clone(have.Containers), func(c plan.Container) bool { return c.Project() != project || len(c.Users) == 0 })
}

// downHosts removes only hosts, not their networks, which others also use.
func (b onBox) downHosts(cmd *cobra.Command, names []string) error {
	api, found, err := b.find(cmd.Context(), names)
	if err != nil {
		return err
	}
	p := plan.Remove(found)
	showPlan(cmd, p)
	used, err := confirmUse(cmd, api, found, plan.OpRemove, b.yes || p.Loss() != "")
	if err == nil {
		err = confirm(cmd, p, b.yes)
	}
	if err != nil {
		return err
	}
	e := &apply.Executor{API: api, Progress: progress.New(os.Stderr)}
	tell(cmd.Context(), e, used, plan.OpRemove)
	return e.Apply(cmd.Context(), p)
}

func (c onCluster) down(cmd *cobra.Command, names []string, withVolumes bool) error {
	ctx := cmd.Context()
	found, err := c.find(ctx, names)
	if err != nil {
		return err
	}
	only := found.sets
	if len(names) == 0 {
		only = nil
	}
	p := cluster.Down(found.project, found.have, only, withVolumes)
	showPlan(cmd, p.Plan)
	if err := confirm(cmd, p.Plan, c.yes); err != nil {
		return err
	}
	e := &cluster.Executor{Namespace: found.in, Progress: progress.New(os.Stderr)}
	for _, a := range p.Actions {
		if a.Kind == plan.KindSet {
			found.tell(ctx, a.Set, plan.OpRemove)
		}
	}
	return e.Apply(ctx, p)
}
