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
		Long: "Have the program that is installed now take the place of the running gateway. This is\n" +
			"for a gateway that systemd did not start; a service does the same when it is\n" +
			"restarted. Nobody is refused and nobody is cut off: the former gateway goes on serving\n" +
			"those who are connected, for as long as linger: in gateway.yaml says. If the new one\n" +
			"does not start, the running one goes on.",
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
