package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/serving"
)

func newUpgradeCommand() *cobra.Command {
	path := config.DefaultPath
	command := &cobra.Command{
		Use:   "upgrade",
		Short: "Have the program that is installed now take the place of the running gateway",
		Long: "Have the program that is installed now take the place of the running gateway: for\n" +
			"gateways that systemd did not start; as a service, restart it. Nobody is refused,\n" +
			"and nobody is cut: the former gateway goes on serving those who are connected, for as\n" +
			"long as linger in gateway.yaml says. If the new one does not start, the running\n" +
			"one goes on.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), serving.UpgradeTimeout+callTimeout)
			defer cancel()
			var done serving.Upgraded
			if err := control.Call(ctx, control.SocketIn(config.StateDir(path)), serving.VerbUpgrade, nil, &done); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "upgraded: process %d lets people in; the former one goes on with %s\n", done.PID, count(done.Staying, "connection"))
			return nil
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`, for its state directory")
	return command
}
