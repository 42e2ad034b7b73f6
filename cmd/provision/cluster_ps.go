package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/pods"
)

func psOnCluster(cmd *cobra.Command, o options) error {
	_, have, sets, err := o.observeHosts(cmd.Context(), nil)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), podTable(have, sets))
	for _, set := range sets {
		if s := have.StateOf(&set); s.Why != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", cluster.HostOf(&set), s.Why)
		}
	}
	return nil
}

// podTable is how to get in, where the pod is, and who is on it.
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

// sinceOf is since when a pod's host runs, or else since when the pod is there.
func sinceOf(pod *corev1.Pod) time.Time {
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Running != nil {
			return s.State.Running.StartedAt.Time
		}
	}
	return pod.CreationTimestamp.Time
}

func logsOnCluster(cmd *cobra.Command, o options, names []string, follow bool, tail string) error {
	ctx := cmd.Context()
	n, _, sets, err := o.observeHosts(ctx, names)
	if err != nil {
		return err
	}
	options := corev1.PodLogOptions{Container: pods.ContainerName, Follow: follow}
	if tail != "all" {
		lines, err := strconv.ParseInt(tail, 10, 64)
		if err != nil {
			return fmt.Errorf("--tail is a number of lines, or all; not %q", tail)
		}
		options.TailLines = &lines
	}
	logs, err := n.Logs(ctx, pods.PodOf(sets[0].Name), options)
	if err != nil {
		return err
	}
	defer logs.Close()
	_, err = io.Copy(cmd.OutOrStdout(), logs)
	if ctx.Err() != nil {
		return nil // Ctrl-C is how following ends
	}
	return err
}
