package main

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/pods"
)

// open opens the chosen namespace: of the cluster with this name in gateway.yaml, or
// of a kubeconfig.
func (c onCluster) open() (*cluster.Namespace, error) {
	settings, err := config.Load(c.config)
	if err != nil && c.kubeconfig == "" {
		return nil, err
	}
	var of hosts.Cluster
	var known []string
	for _, k := range settings.Clusters {
		if k.Name == c.cluster {
			of = k
		}
		known = append(known, k.Name)
	}
	if of.Name == "" && c.kubeconfig == "" {
		return nil, fmt.Errorf("there is no cluster %s in %s; there are: %s. Or name a kubeconfig with --kubeconfig", c.cluster, c.config, strings.Join(known, ", "))
	}
	if c.kubeconfig != "" {
		of.Kubeconfig, of.Context = c.kubeconfig, ""
	}
	switch {
	case c.namespace != "":
	case len(of.Namespaces) > 1:
		return nil, fmt.Errorf("cluster %s has the namespaces %s: say which with --namespace", of.Name, strings.Join(of.Namespaces, ", "))
	case len(of.Namespaces) == 1:
		c.namespace = of.Namespaces[0]
	}
	n, err := cluster.Open(of.Kubeconfig, of.Context, c.namespace)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", c.cluster, err)
	}
	return n, nil
}

// clusterJob is one run on a cluster: what the files want, and in which namespace.
type clusterJob struct {
	onCluster
	want pods.Wanted
	in   *cluster.Namespace
}

func (c onCluster) job(ctx context.Context) (*clusterJob, error) {
	project, err := compose.Load(ctx, c.load)
	if err != nil {
		return nil, err
	}
	want, err := compose.Await(ctx, func() (pods.Wanted, error) { return pods.Want(project, c.load.Base) })
	if err != nil {
		return nil, err
	}
	n, err := c.open()
	return &clusterJob{c, want, n}, err
}

func (j *clusterJob) plan(ctx context.Context) (cluster.Plan, error) {
	have, err := j.in.Observe(ctx, j.want.Project)
	if err != nil {
		return cluster.Plan{}, err
	}
	return cluster.Up(j.want, have, j.planOptions)
}

// clusterHosts is hosts in a namespace.
type clusterHosts struct {
	project string // "" where they are of all projects
	in      *cluster.Namespace
	have    cluster.Observed // everything in the namespace
	sets    []appsv1.StatefulSet
}

// find returns the project's hosts with these names, or all of them if no names are
// given. Its error says which hosts exist.
func (c onCluster) find(ctx context.Context, names []string) (clusterHosts, error) {
	project, err := compose.ProjectName(ctx, c.load)
	if err == nil && project == "" && len(names) == 0 {
		err = errNoProject
	}
	if err != nil {
		return clusterHosts{}, err
	}
	h, err := c.observe(ctx)
	if err == nil && len(names) > 0 {
		h.sets, err = named(names, h.sets, func(s appsv1.StatefulSet) string { return cluster.HostOf(&s) })
	}
	return h, err
}

// observe returns the hosts of the project, or, without a project, all hosts that
// provision created.
func (c onCluster) observe(ctx context.Context) (clusterHosts, error) {
	project, err := compose.ProjectName(ctx, c.load)
	if err != nil {
		return clusterHosts{}, err
	}
	n, err := c.open()
	if err != nil {
		return clusterHosts{}, err
	}
	have, err := n.Observe(ctx, project)
	return clusterHosts{project, n, have, have.Of(project)}, err
}
