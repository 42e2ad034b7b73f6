package main

import (
	"errors"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/demo"
	"github.com/berth-ssh/berth/screen"
)

func newDemoCommand() *cobra.Command {
	once := false
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show the gateway at work, with two new hosts",
		Long: "Show the gateway at work: create two hosts, log in to both with a key and with a\n" +
			"password, copy files in both directions, and serve until Ctrl-C. Then remove\n" +
			"everything but the images. The hosts are built on the image that\n" +
			"BERTH_BASE_IMAGE names. Without it, or without a Docker engine, both hosts are\n" +
			"this machine. Without ssh, a client of its own is used; rsync is optional.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			// A closed pipe must end the demo like Ctrl-C, since there is something
			// to remove.
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
	command.Flags().BoolVar(&once, "once", once, "end after the transcript, do not wait for Ctrl-C")
	return command
}
