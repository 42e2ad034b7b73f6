package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-ssh/berth/provision/pods"
)

// logOptions are the flags of logs.
type logOptions struct {
	follow bool
	tail   string // number of lines from the end, or "all"
}

func logsCommand(o *options) *cobra.Command {
	var of logOptions
	command := &cobra.Command{
		Use:               "logs HOST",
		Short:             "Show what a host's container wrote to its log",
		Args:              oneHost,
		ValidArgsFunction: completeHosts(o),
		RunE:              func(cmd *cobra.Command, names []string) error { return o.target().logs(cmd, names[0], of) },
	}
	command.Flags().BoolVar(&of.follow, "follow", false, "go on with new lines, until Ctrl-C")
	command.Flags().StringVar(&of.tail, "tail", "all", "how many `lines` from the end")
	return command
}

func (b onBox) logs(cmd *cobra.Command, name string, o logOptions) error {
	ctx := cmd.Context()
	api, found, err := b.find(ctx, []string{name})
	if err != nil {
		return err
	}
	inspected, err := api.ContainerInspect(ctx, found[0].ID, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	logs, err := api.ContainerLogs(ctx, found[0].ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: o.follow, Tail: o.tail})
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
		return nil // Ctrl-C is how to stop following
	}
	return err
}

func (c onCluster) logs(cmd *cobra.Command, name string, o logOptions) error {
	ctx := cmd.Context()
	found, err := c.find(ctx, []string{name})
	if err != nil {
		return err
	}
	options := corev1.PodLogOptions{Container: pods.ContainerName, Follow: o.follow}
	if o.tail != "all" {
		lines, err := strconv.ParseInt(o.tail, 10, 64)
		if err != nil {
			return fmt.Errorf("--tail is a number of lines, or all; not %q", o.tail)
		}
		options.TailLines = &lines
	}
	logs, err := found.in.Logs(ctx, pods.PodOf(found.sets[0].Name), options)
	if err != nil {
		return err
	}
	defer logs.Close()
	_, err = io.Copy(cmd.OutOrStdout(), logs)
	if ctx.Err() != nil {
		return nil // Ctrl-C is how to stop following
	}
	return err
}
