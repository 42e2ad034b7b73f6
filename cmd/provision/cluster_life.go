package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/pods"
	"github.com/berth-ssh/berth/provision/progress"
)

func downOnCluster(cmd *cobra.Command, o options, names []string, withVolumes bool) error {
	ctx := cmd.Context()
	project, err := o.projectFor(ctx, names)
	if err != nil {
		return err
	}
	n, have, sets, err := o.observeHosts(ctx, names)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		sets = nil
	}
	p := cluster.Down(project, have, sets, withVolumes)
	showPlan(cmd, p.Plan)
	if err := confirm(cmd, p.Plan, o.yes); err != nil {
		return err
	}
	e := &cluster.Executor{Namespace: n, Progress: progress.New(os.Stderr)}
	for _, a := range p.Actions {
		if a.Kind == plan.KindSet {
			tellPod(ctx, n, have, a.Set, "removed")
		}
	}
	return e.Apply(ctx, p)
}

// projectFor returns the project that is meant. Its error says that neither one is, nor
// hosts are.
func (o options) projectFor(ctx context.Context, names []string) (string, error) {
	project, err := compose.ProjectName(ctx, o.load)
	if err == nil && project == "" && len(names) == 0 {
		err = fmt.Errorf("%w, or a project with -p, or hosts", compose.ErrNoFile)
	}
	return project, err
}

// tellPod tells those who are on a host what is done to it.
func tellPod(ctx context.Context, n *cluster.Namespace, have cluster.Observed, set *appsv1.StatefulSet, done string) {
	if pod := pods.PodOf(set.Name); len(have.Users[pod]) > 0 {
		n.Tell(ctx, pod, cluster.HostOf(set)+" is "+done+" now, by provision")
	}
}

// lifeOnCluster starts, stops or restarts hosts. Who loses what they do is said before.
func lifeOnCluster(cmd *cobra.Command, o options, verb plan.Op, names []string) error {
	ctx := cmd.Context()
	if _, err := o.projectFor(ctx, names); err != nil {
		return err
	}
	n, have, sets, err := o.observeHosts(ctx, names)
	if err != nil {
		return err
	}
	if len(sets) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: the project has no hosts")
	}
	if verb != plan.OpStart {
		if err := confirmPods(cmd, have, sets, verb, o.yes); err != nil {
			return err
		}
	}
	e := &cluster.Executor{Namespace: n, Progress: progress.New(os.Stderr)}
	var errs []error
	for _, set := range sets {
		var err error
		switch verb {
		case plan.OpStart:
			err = e.Start(ctx, &set)
		case plan.OpStop:
			tellPod(ctx, n, have, &set, "stopped")
			err = e.Stop(ctx, &set)
		default:
			tellPod(ctx, n, have, &set, "restarted")
			err = e.Restart(ctx, &set, have.Pod(&set))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", cluster.HostOf(&set), err))
		}
	}
	return errors.Join(errs...)
}

// confirmPods says who is on hosts, and what goes with their pods, and asks.
func confirmPods(cmd *cobra.Command, have cluster.Observed, sets []appsv1.StatefulSet, verb plan.Op, yes bool) error {
	var used, lost []string
	for _, set := range sets {
		if users := have.Users[pods.PodOf(set.Name)]; len(users) > 0 {
			used = append(used, fmt.Sprintf("%s: %s", cluster.HostOf(&set), strings.Join(users, ", ")))
		}
		if cluster.HasRun(have.Pod(&set)) {
			lost = append(lost, cluster.HostOf(&set))
		}
	}
	if len(used) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "in use:\n  %s\n", strings.Join(used, "\n  "))
	}
	if len(lost) == 0 {
		return nil
	}
	return confirm(cmd, plan.Plan{Lost: lost}, yes)
}
