package main

import (
	"errors"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"berth/demo"
	"berth/screen"
)

func newDemoCommand() *cobra.Command {
	once := false
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show the gateway at work, with two hosts made for it",
		Long: "Show the gateway at work: make two hosts, log in to both by key and by password,\n" +
			"copy files each way, and serve until Ctrl-C. All that it made is removed then.\n" +
			"The hosts are made of the image that BERTH_BASE_IMAGE names; without it, or\n" +
			"without a Docker engine, they are this machine itself.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			// A closed pipe ends the demo as Ctrl-C does: there is something to remove.
			ctx, stop := signal.NotifyContext(command.Context(),
				syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
			defer stop()
			err := demo.Run(ctx, screen.New(command.OutOrStdout()), once)
			if err != nil && ctx.Err() != nil {
				return errors.New("the demo was interrupted")
			}
			return err
		},
	}
	command.Flags().BoolVar(&once, "once", once, "end after the transcript")
	return command
}
