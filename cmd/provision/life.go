package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

// lifeCommands returns the verbs that do the same to each named host, or to all of
// the project.
func lifeCommands(o *options) []*cobra.Command {
	return []*cobra.Command{
		hostsCommand(o, plan.OpStart, "Start hosts; without a name, all of the project"),
		hostsCommand(o, plan.OpStop, "Stop hosts, which keep their reservations; without a name, all of the project"),
		hostsCommand(o, plan.OpRestart, "Restart hosts; without a name, all of the project"),
	}
}

func hostsCommand(o *options, verb plan.Op, short string) *cobra.Command {
	return &cobra.Command{
		Use:               string(verb) + " [HOST…]",
		Short:             short,
		ValidArgsFunction: completeHosts(o),
		RunE:              func(cmd *cobra.Command, names []string) error { return o.target().life(cmd, verb, names) },
	}
}

func (b onBox) life(cmd *cobra.Command, verb plan.Op, names []string) error {
	ctx := cmd.Context()
	api, found, err := b.find(ctx, names)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: the project has no hosts")
	}
	e := &apply.Executor{API: api, Progress: progress.New(os.Stderr)}
	if verb != plan.OpStart {
		used, err := confirmUse(cmd, api, found, verb, b.yes)
		if err != nil {
			return err
		}
		tell(ctx, e, used, verb)
	}
	var errs []error
	for _, c := range found {
		if verb == plan.OpStart && c.Running {
			continue
		}
		if err := e.CarryOut(ctx, plan.Step{Op: verb, Kind: plan.KindContainer, Name: c.Name, ID: c.ID}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.HostName(), err))
		}
	}
	return errors.Join(errs...)
}

func (c onCluster) life(cmd *cobra.Command, verb plan.Op, names []string) error {
	ctx := cmd.Context()
	found, err := c.find(ctx, names)
	if err != nil {
		return err
	}
	if len(found.sets) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: the project has no hosts")
	}
	if verb != plan.OpStart {
		if err := confirmPods(cmd, found, c.yes); err != nil {
			return err
		}
	}
	e := &cluster.Executor{Namespace: found.in, Progress: progress.New(os.Stderr)}
	var errs []error
	for _, set := range found.sets {
		if verb != plan.OpStart {
			found.tell(ctx, &set, verb)
		}
		if err := e.CarryOut(ctx, verb, &set, found.have.Pod(&set)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", cluster.HostOf(&set), err))
		}
	}
	return errors.Join(errs...)
}
