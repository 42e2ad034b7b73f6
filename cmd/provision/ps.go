package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/box"
	dockerhosts "github.com/berth-ssh/berth/hosts/docker"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/people"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
)

func psCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "List the project's hosts, and who is on them; without a project, every host that provision created",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return ps(cmd, *o) },
	}
}

func ps(cmd *cobra.Command, o options) error {
	if o.onCluster() {
		return psOnCluster(cmd, o)
	}
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
	fmt.Fprint(cmd.OutOrStdout(), stateTable(api, have, whoIsOn(ctx, o.state), time.Now()))
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

// stateTable has a column of people where on, the people of each container, is not
// nil.
func stateTable(api *client.Client, containers []plan.Container, on map[string][]string, now time.Time) string {
	rows := [][]string{{"HOST", "ROUTE", "VIA", "ACCOUNT", "CONTAINER", "STATE", "SINCE"}}
	if on != nil {
		rows[0] = append(rows[0], "PEOPLE")
	}
	for _, c := range byHost(containers) {
		row := append(hostRow(c), c.State, units.HumanDuration(now.Sub(c.Since)))
		row = slices.Insert(row, 2, enteredBy(api, c))
		if on != nil {
			row = append(row, cmp.Or(strings.Join(on[c.ID], ", "), "-"))
		}
		rows = append(rows, row)
	}
	return table(rows)
}

// onPatience is how long a gateway may take to say who is on.
const onPatience = 3 * time.Second

// whoIsOn is who is connected to each container, each person once and by name; nil
// where no gateway answers.
func whoIsOn(ctx context.Context, stateDir string) map[string][]string {
	ctx, cancel := context.WithTimeout(ctx, onPatience)
	defer cancel()
	connections, err := people.Ask(ctx, stateDir)
	if err != nil {
		return nil
	}
	on := map[string][]string{}
	for _, c := range connections {
		if !slices.Contains(on[c.Container], c.Person) {
			on[c.Container] = append(on[c.Container], c.Person)
		}
	}
	for _, names := range on {
		slices.Sort(names)
	}
	return on
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
