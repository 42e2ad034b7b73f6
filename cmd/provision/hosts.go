package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
)

// findHosts returns the project's hosts of these names, or without names all of
// them. Its error says which hosts there are.
func findHosts(ctx context.Context, o options, names []string) (*client.Client, []plan.Container, error) {
	project, err := compose.ProjectName(ctx, o.load)
	if err != nil {
		return nil, nil, err
	}
	api, err := o.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := apply.ObserveContainers(ctx, api, box.Box{})
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(all, func(c plan.Container) bool { return c.Project() == "" || project != "" && c.Project() != project })
	if len(names) == 0 {
		if project == "" {
			return nil, nil, fmt.Errorf("%w, or a project with -p, or hosts", compose.ErrNoFile)
		}
		return api, all, nil
	}
	var found []plan.Container
	for _, name := range names {
		c, err := oneOf(name, all, plan.Container.HostName)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, c)
	}
	return api, found, nil
}

// oneOf returns the one of a host's name. Its error says which hosts there are.
func oneOf[T any](name string, all []T, nameOf func(T) string) (one T, err error) {
	var known []string
	var found []T
	for _, c := range all {
		known = append(known, nameOf(c))
		if nameOf(c) == name {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return one, fmt.Errorf("%s is a host of several projects; say which with -p", name)
	case len(known) == 0:
		return one, fmt.Errorf("there is no host %s: provision made none here", name)
	}
	return one, fmt.Errorf("there is no host %s; there are %s", name, strings.Join(known, ", "))
}

func completeHosts(o *options) cobra.CompletionFunc {
	return func(cmd *cobra.Command, already []string, _ string) ([]string, cobra.ShellCompDirective) {
		if cmd.Name() == "exec" && len(already) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		names, err := o.hostNames(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(already, name) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// hostNames returns the names of the project's hosts.
func (o options) hostNames(ctx context.Context) (names []string, err error) {
	if o.onCluster() {
		_, _, sets, err := o.observeHosts(ctx, nil)
		for _, set := range sets {
			names = append(names, cluster.HostOf(&set))
		}
		return names, err
	}
	_, all, err := findHosts(ctx, o, nil)
	for _, c := range all {
		names = append(names, c.HostName())
	}
	return names, err
}

// hostFirst checks the arguments of a verb that begin with a host.
func hostFirst(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("which host? berth-provision ps lists them")
	}
	return nil
}

func oneHost(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return errors.New("one host at a time")
	}
	return hostFirst(cmd, args)
}
