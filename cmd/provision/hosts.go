package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/cluster"
)

// named returns the hosts with these names. Its error says which hosts exist.
func named[T any](names []string, all []T, nameOf func(T) string) (found []T, err error) {
	for _, name := range names {
		one, err := oneOf(name, all, nameOf)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

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
		names, err := o.target().hostNames(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(already, name) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// hostNames returns the names of the project's hosts.
func (b onBox) hostNames(ctx context.Context) (names []string, err error) {
	_, all, err := b.find(ctx, nil)
	for _, c := range all {
		names = append(names, c.HostName())
	}
	return names, err
}

func (c onCluster) hostNames(ctx context.Context) (names []string, err error) {
	found, err := c.observe(ctx)
	for _, set := range found.sets {
		names = append(names, cluster.HostOf(&set))
	}
	return names, err
}

// hostFirst checks the arguments of a verb whose first argument is a host.
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
