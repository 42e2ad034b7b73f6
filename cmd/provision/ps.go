package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"berth/docker"
	dockerhosts "berth/hosts/docker"
	"berth/labels"
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
	name, err := projectName(ctx, o)
	if err != nil {
		return err
	}
	api, err := docker.Dial(ctx, "")
	if err != nil {
		return err
	}
	have, err := observeContainers(ctx, api, machine{})
	if err != nil {
		return err
	}
	have = slices.DeleteFunc(have, func(c existing) bool { return c.project() == "" || name != "" && c.project() != name })
	fmt.Fprint(cmd.OutOrStdout(), stateTable(api, have, time.Now()))
	return nil
}

// hostTable is how to get in: what a login names, and where it leads.
func hostTable(containers []existing) string {
	rows := [][]string{{"HOST", "ROUTE", "ACCOUNT", "CONTAINER"}}
	for _, c := range byHost(containers) {
		rows = append(rows, hostRow(c))
	}
	return table(rows)
}

func stateTable(api *client.Client, containers []existing, now time.Time) string {
	rows := [][]string{{"HOST", "ROUTE", "BY", "ACCOUNT", "CONTAINER", "STATE", "SINCE"}}
	for _, c := range byHost(containers) {
		row := append(hostRow(c), c.state, units.HumanDuration(now.Sub(c.since)))
		rows = append(rows, slices.Insert(row, 2, enteredBy(api, c)))
	}
	return table(rows)
}

// enteredBy is how route exec enters the container, if that is its route.
func enteredBy(api *client.Client, c existing) string {
	if c.labels[labels.Route] != labels.RouteExec {
		return "-"
	}
	return dockerhosts.ExecBy(api, c.mounts)
}

func hostRow(c existing) []string {
	return []string{c.labels[labels.Host], c.labels[labels.Route], c.labels[labels.Account], c.name}
}

func byHost(containers []existing) []existing {
	return slices.SortedFunc(slices.Values(containers), func(one, two existing) int {
		return slices.Compare(hostRow(one), hostRow(two))
	})
}

func table(rows [][]string) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	return text.String()
}
