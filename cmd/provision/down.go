package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/apply"
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
			switch {
			case len(names) > 0 && volumes:
				return errors.New("--volumes is for the whole project: leave out the hosts")
			case o.onCluster():
				return downOnCluster(cmd, *o, names, volumes)
			case len(names) == 0:
				return down(cmd, *o, volumes)
			default:
				return downHosts(cmd, *o, names)
			}
		},
	}
	command.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove the volumes that provision made, too, with their data")
	return command
}

func down(cmd *cobra.Command, o options, volumes bool) error {
	ctx := cmd.Context()
	name, err := compose.ProjectName(ctx, o.load)
	if err != nil {
		return err
	}
	if name == "" {
		return fmt.Errorf("%w, or a project with -p", compose.ErrNoFile)
	}
	api, err := o.dial(ctx)
	if err != nil {
		return err
	}
	have, err := apply.Observe(ctx, api, nil, name)
	if err != nil {
		return err
	}
	p := plan.Down(name, have, volumes)
	showPlan(cmd, p)
	if err := confirm(cmd, p, o.yes); err != nil {
		return err
	}
	e := &apply.Executor{API: api, Progress: progress.New(os.Stderr)}
	tell(ctx, e, usedOf(name, have), "removed")
	return e.Apply(ctx, p)
}

// usedOf returns the containers of a project that somebody is on.
func usedOf(project string, have plan.Observed) []plan.Container {
	return slices.DeleteFunc(slices.Clone(have.Containers), func(c plan.Container) bool { return c.Project() != project || len(c.Users) == 0 })
}

// downHosts removes hosts alone: their networks are others' too.
func downHosts(cmd *cobra.Command, o options, names []string) error {
	api, found, err := findHosts(cmd.Context(), o, names)
	if err != nil {
		return err
	}
	p := plan.Remove(found)
	showPlan(cmd, p)
	used, err := confirmUse(cmd, api, found, plan.OpRemove, o.yes || p.Loss() != "")
	if err == nil {
		err = confirm(cmd, p, o.yes)
	}
	if err != nil {
		return err
	}
	e := &apply.Executor{API: api, Progress: progress.New(os.Stderr)}
	tell(cmd.Context(), e, used, "removed")
	return e.Apply(cmd.Context(), p)
}
