package main

import (
	"io"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/plan"
)

func logsCommand(o *options) *cobra.Command {
	var follow bool
	var tail string
	command := &cobra.Command{
		Use:               "logs HOST",
		Short:             "Show what a host's container wrote to its log",
		Args:              oneHost,
		ValidArgsFunction: completeHosts(o),
		RunE: func(cmd *cobra.Command, names []string) error {
			if o.onCluster() {
				return logsOnCluster(cmd, *o, names, follow, tail)
			}
			api, found, err := findHosts(cmd.Context(), *o, names)
			if err != nil {
				return err
			}
			return copyLogs(cmd, api, found[0], client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow, Tail: tail})
		},
	}
	command.Flags().BoolVar(&follow, "follow", false, "go on with new lines, until Ctrl-C")
	command.Flags().StringVar(&tail, "tail", "all", "how many `lines` from the end")
	return command
}

func copyLogs(cmd *cobra.Command, api *client.Client, c plan.Container, options client.ContainerLogsOptions) error {
	ctx := cmd.Context()
	inspected, err := api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	logs, err := api.ContainerLogs(ctx, c.ID, options)
	if err != nil {
		return err
	}
	defer logs.Close()
	if inspected.Container.Config.Tty {
		_, err = io.Copy(cmd.OutOrStdout(), logs)
	} else {
		_, err = stdcopy.StdCopy(cmd.OutOrStdout(), cmd.ErrOrStderr(), logs)
	}
	if ctx.Err() != nil {
		return nil // Ctrl-C is how following ends
	}
	return err
}
