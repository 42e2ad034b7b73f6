package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/pods"
)

// confirmUse shows who is on the containers, and asks before these people lose their
// work. It returns the containers with their users. Its error says that the answer
// was no, or that there is nobody to ask.
func confirmUse(cmd *cobra.Command, api *client.Client, containers []plan.Container, verb plan.Op, yes bool) ([]plan.Container, error) {
	used, err := apply.InUse(cmd.Context(), api, containers)
	if err != nil || len(used) == 0 {
		return nil, err
	}
	var lines []string
	for _, c := range used {
		lines = append(lines, fmt.Sprintf("%s: %s", c.HostName(), strings.Join(c.Users, ", ")))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "in use:\n  %s\n", strings.Join(lines, "\n  "))
	return used, ask(cmd, fmt.Sprintf("%ss hosts that people are on", verb), yes)
}

// tell writes to the terminals of the people on these containers what is done to
// them.
func tell(ctx context.Context, e *apply.Executor, used []plan.Container, verb plan.Op) {
	for _, c := range used {
		e.Tell(ctx, c.ID, told(c.HostName(), verb))
	}
}

func told(host string, verb plan.Op) string {
	done := map[plan.Op]string{plan.OpRemove: "removed", plan.OpStop: "stopped", plan.OpRestart: "restarted"}
	return host + " is " + done[verb] + " now, by provision"
}

// confirmPods shows who is on hosts, and what is removed with their pods, and asks.
func confirmPods(cmd *cobra.Command, h clusterHosts, yes bool) error {
	var used, lost []string
	for _, set := range h.sets {
		if users := h.have.Users[pods.PodOf(set.Name)]; len(users) > 0 {
			used = append(used, fmt.Sprintf("%s: %s", cluster.HostOf(&set), strings.Join(users, ", ")))
		}
		if cluster.HasRun(h.have.Pod(&set)) {
			lost = append(lost, cluster.HostOf(&set))
		}
	}
	if len(used) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "in use:\n  %s\n", strings.Join(used, "\n  "))
	}
	return confirm(cmd, plan.Plan{Lost: lost}, yes)
}

// tell writes to the terminals of the people on a host what is done to it.
func (h clusterHosts) tell(ctx context.Context, set *appsv1.StatefulSet, verb plan.Op) {
	if pod := pods.PodOf(set.Name); len(h.have.Users[pod]) > 0 {
		h.in.Tell(ctx, pod, told(cluster.HostOf(set), verb))
	}
}
