package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"berth/box"
	dockerhosts "berth/hosts/docker"
	"berth/labels"
	"berth/provision/apply"
	"berth/provision/compose"
	"berth/provision/plan"
)

func psCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "List the project's hosts; without a project, every host that provision made",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return ps(cmd, *o) },
	}
}

func ps(cmd *cobra.Command, o options) error {
	ctx := cmd.Context()
	name, err := compose.ProjectName(ctx, o.load)
	if err != nil {
		return err
	}
	api, err := o.dial(ctx)
	if err != nil {
		return err
	}
	have, err := apply.ObserveContainers(ctx, api, box.Box{})
	if err != nil {
		return err
	}
	have = slices.DeleteFunc(have, func(c plan.Container) bool { return c.Project() == "" || name != "" && c.Project() != name })
	fmt.Fprint(cmd.OutOrStdout(), stateTable(api, have, time.Now()))
	for _, c := range byHost(have) {
		if why := apply.WhyEnded(ctx, api, c); why.Text != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", c.HostName(), why.Text)
		}
	}
	return nil
}

// hostTable is how to get in: what a login names, and where it leads.
func hostTable(containers []plan.Container) string {
	rows := [][]string{{"HOST", "ROUTE", "ACCOUNT", "CONTAINER"}}
	for _, c := range byHost(containers) {
		rows = append(rows, hostRow(c))
	}
	return table(rows)
}

func stateTable(api *client.Client, containers []plan.Container, now time.Time) string {
	rows := [][]string{{"HOST", "ROUTE", "VIA", "ACCOUNT", "CONTAINER", "STATE", "SINCE"}}
	for _, c := range byHost(containers) {
		row := append(hostRow(c), c.State, units.HumanDuration(now.Sub(c.Since)))
		rows = append(rows, slices.Insert(row, 2, enteredBy(api, c)))
	}
	return table(rows)
}

// enteredBy is how route exec enters the container, if that is its route.
func enteredBy(api *client.Client, c plan.Container) string {
	if c.Labels[labels.Route] != labels.RouteExec {
		return "-"
	}
	return dockerhosts.ExecBy(api, c.Mounts)
}

func hostRow(c plan.Container) []string {
	return []string{c.Labels[labels.Host], c.Labels[labels.Route], c.Labels[labels.Account], c.Name}
}

func byHost(containers []plan.Container) []plan.Container {
	return slices.SortedFunc(slices.Values(containers), func(one, two plan.Container) int {
		return slices.Compare(hostRow(one), hostRow(two))
	})
}
