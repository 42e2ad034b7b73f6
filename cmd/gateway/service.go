package main

import (
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/serving"
)

// newServiceCommand returns the command that systemd's unit starts. Since systemd
// ends a service before it starts it again, the process that it knows must not be the
// one with people's connections. So this one only starts the gateway. When it is told
// to stop, it tells the gateway to accept no more connections, and ends. The gateway
// goes on with its connections, and the next one takes the socket from it.
func newServiceCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "service [flags of serve]",
		Short:              "Serve, as a service whose restart ends no connection",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return serving.RunService(append([]string{"serve", "--take-over", "--service"}, args...))
		},
	}
}
