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
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	dockerhosts "github.com/berth-ssh/berth/hosts/docker"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/people"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/pods"
)

func psCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "List the project's hosts, and who is on them; without a project, every host that provision created",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.target().ps(cmd) },
	}
}

func (b onBox) ps(cmd *cobra.Command) error {
	ctx := cmd.Context()
	api, _, have, err := b.observe(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), stateTable(api, have, whoIsOn(ctx, b.state), time.Now()))
	for _, c := range byHost(have) {
		if why := apply.WhyEnded(ctx, api, c); why.Text != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", c.HostName(), why.Text)
		}
	}
	return nil
}

// hostTable returns a table of logins and where they lead.
func hostTable(containers []plan.Container) string {
	rows := [][]string{{"HOST", "ROUTE", "ACCOUNT", "CONTAINER"}}
	for _, c := range byHost(containers) {
		rows = append(rows, hostRow(c))
	}
	return table(rows)
}

// stateTable returns a table of containers. It has a column of people if on, which
// has the people of each container, is not nil.
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

// onPatience is how long a gateway may take to say who is connected.
const onPatience = 3 * time.Second

// whoIsOn returns the people connected to each container, each once and by name; nil
// if no gateway answers.
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

// enteredBy returns how route exec enters the container, if it has that route.
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

func (c onCluster) ps(cmd *cobra.Command) error {
	found, err := c.observe(cmd.Context())
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), podTable(found.have, found.sets))
	for _, set := range found.sets {
		if s := found.have.StateOf(&set); s.Why != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", cluster.HostOf(&set), s.Why)
		}
	}
	return nil
}

// podTable returns a table of logins, the nodes of the pods, and the people on them.
func podTable(have cluster.Observed, sets []appsv1.StatefulSet) string {
	rows := [][]string{{"HOST", "ROUTE", "ACCOUNT", "POD", "NODE", "STATE", "SINCE", "PEOPLE"}}
	for _, set := range sets {
		on, name := set.Spec.Template.Labels, pods.PodOf(set.Name)
		node, since := "-", set.CreationTimestamp.Time
		if pod := have.Pod(&set); pod != nil {
			node, since = cmp.Or(pod.Spec.NodeName, "-"), sinceOf(pod)
		}
		rows = append(rows, []string{
			cluster.HostOf(&set), on[labels.Route], cmp.Or(on[labels.Account], "-"), name, node,
			have.StateOf(&set).Word, units.HumanDuration(time.Since(since)), cmp.Or(strings.Join(have.Users[name], ", "), "-"),
		})
	}
	return table(rows)
}

// sinceOf returns when a pod's host started, or else when the pod was created.
func sinceOf(pod *corev1.Pod) time.Time {
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Running != nil {
			return s.State.Running.StartedAt.Time
		}
	}
	return pod.CreationTimestamp.Time
}
