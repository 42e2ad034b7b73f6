package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"berth/config"
	"berth/hosts"
	"berth/hosts/configured"
)

func newCheckCommand() *cobra.Command {
	path := config.DefaultPath
	command := &cobra.Command{
		Use:   "check",
		Short: "Show the problems of the configuration file, each with its line",
		Long: "Show the problems of the configuration file, each with its line. Then look at\n" +
			"this machine: the mode of the state directory, whether the port is free, and\n" +
			"which of the granted hosts exist now. Warnings do not change the exit code.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			if err := warn(command.ErrOrStderr(), path, settings); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "%s: ok, %s, %s\n", path, count(len(settings.Users), "user"), count(len(settings.Hosts), "host"))
			if err := showHosts(command.Context(), command.OutOrStdout(), settings); err != nil {
				fmt.Fprintf(command.ErrOrStderr(), "%s: warning: the hosts were not looked up: %v\n", path, err)
			}
			return nil
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	return command
}

// warn prints what serve would accept, but what is probably not meant. Its error
// is what serve would stop at.
func warn(w io.Writer, path string, settings config.Config) error {
	warnings, err := settings.CheckHere()
	if err != nil {
		return err
	}
	for _, warning := range settings.Warnings {
		fmt.Fprintln(w, warning)
	}
	for _, warning := range warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", path, warning)
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// showHosts prints each granted host, who may enter it, and whether it exists
// now. It waits some seconds for the engine.
func showHosts(ctx context.Context, w io.Writer, settings config.Config) error {
	users := make(map[string][]string) // by host
	for _, user := range settings.Users {
		for host := range user.Hosts {
			users[host] = append(users[host], user.Name)
		}
	}
	if len(users) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(users))
	found, err := configured.Look(ctx, settings.Docker, settings.Hosts, names)
	if err != nil {
		return err
	}
	rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "\nHOST\tUSERS\tNOW")
	for _, name := range names {
		fmt.Fprintf(rows, "%s\t%s\t%s\n", name, strings.Join(users[name], ", "), now(found[name]))
	}
	return rows.Flush()
}

// now says in a few words what a host's name means now.
func now(found configured.Found) string {
	why := (*hosts.Unreachable)(nil)
	switch {
	case errors.As(found.Err, &why):
		return why.Why
	case found.Err != nil:
		return found.Err.Error()
	case found.Container != "":
		return fmt.Sprintf("route %s, container %.12s", found.Route, found.Container)
	}
	return "route " + found.Route
}
