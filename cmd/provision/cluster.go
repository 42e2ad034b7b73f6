package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/pods"
)

// onCluster reports whether hosts are meant that are pods.
func (o options) onCluster() bool { return o.cluster != "" || o.kubeconfig != "" }

// checkCluster refuses what has no meaning for a cluster: verbs and flags of a box.
func (o options) checkCluster(cmd *cobra.Command) error {
	if !o.onCluster() {
		if o.namespace != "" {
			return fmt.Errorf("--namespace is one of a cluster: say which with --cluster")
		}
		return nil
	}
	verbs := []string{"plan", "up", "down", "ps", "logs", "start", "stop", "restart"}
	if !slices.Contains(verbs, cmd.Name()) && !strings.HasPrefix(cmd.Name(), cobra.ShellCompRequestCmd) {
		return fmt.Errorf("%s is about a box, and --cluster names none; of a cluster there are %s", cmd.Name(), strings.Join(verbs, ", "))
	}
	if o.box != "" {
		return fmt.Errorf("hosts are on a box or on a cluster: --box or --cluster")
	}
	for _, flag := range []string{"fresh", "upgrade", "ignore"} {
		if cmd.Flags().Changed(flag) {
			return fmt.Errorf("--%s is about containers of a box; leave it out", flag)
		}
	}
	return nil
}

// openNamespace opens the namespace that is meant: of the cluster that gateway.yaml knows
// by its name, or of a kubeconfig.
func (o options) openNamespace() (*cluster.Namespace, error) {
	settings, err := config.Load(o.config)
	if err != nil && o.kubeconfig == "" {
		return nil, err
	}
	var of hosts.Cluster
	var known []string
	for _, c := range settings.Clusters {
		if c.Name == o.cluster {
			of = c
		}
		known = append(known, c.Name)
	}
	if of.Name == "" && o.kubeconfig == "" {
		return nil, fmt.Errorf("there is no cluster %s in %s; there are: %s. Or name a kubeconfig with --kubeconfig", o.cluster, o.config, strings.Join(known, ", "))
	}
	if o.kubeconfig != "" {
		of.Kubeconfig, of.Context = o.kubeconfig, ""
	}
	switch {
	case o.namespace != "":
	case len(of.Namespaces) > 1:
		return nil, fmt.Errorf("cluster %s has the namespaces %s: say which with --namespace", of.Name, strings.Join(of.Namespaces, ", "))
	case len(of.Namespaces) == 1:
		o.namespace = of.Namespaces[0]
	}
	n, err := cluster.Open(of.Kubeconfig, of.Context, o.namespace)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", o.cluster, err)
	}
	return n, nil
}

// clusterJob is one run: what the files want, in which namespace.
type clusterJob struct {
	options options
	want    pods.Wanted
	in      *cluster.Namespace
}

func newClusterJob(ctx context.Context, o options) (*clusterJob, error) {
	project, err := compose.Load(ctx, o.load)
	if err != nil {
		return nil, err
	}
	want, err := compose.Await(ctx, func() (pods.Wanted, error) { return pods.Want(project, o.load.Base) })
	if err != nil {
		return nil, err
	}
	n, err := o.openNamespace()
	return &clusterJob{o, want, n}, err
}

func (j *clusterJob) plan(ctx context.Context) (cluster.Plan, error) {
	have, err := j.in.Observe(ctx, j.want.Project)
	if err != nil {
		return cluster.Plan{}, err
	}
	return cluster.Up(j.want, have, j.options.plan)
}

// observeHosts returns what is in the namespace, and of it the hosts of these names; of
// the project or, where none is named, of all projects without names. Its error says which
// hosts there are.
func (o options) observeHosts(ctx context.Context, names []string) (*cluster.Namespace, cluster.Observed, []appsv1.StatefulSet, error) {
	project, err := compose.ProjectName(ctx, o.load)
	if err != nil {
		return nil, cluster.Observed{}, nil, err
	}
	n, err := o.openNamespace()
	if err != nil {
		return nil, cluster.Observed{}, nil, err
	}
	have, err := n.Observe(ctx, project)
	if err != nil {
		return nil, have, nil, err
	}
	all := have.Of(project)
	if len(names) == 0 {
		return n, have, all, nil
	}
	var found []appsv1.StatefulSet
	for _, name := range names {
		set, err := oneOf(name, all, func(s appsv1.StatefulSet) string { return cluster.HostOf(&s) })
		if err != nil {
			return nil, have, nil, err
		}
		found = append(found, set)
	}
	return n, have, found, nil
}
