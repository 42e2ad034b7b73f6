package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"berth/config"
)

func newCheckCommand() *cobra.Command {
	path := config.DefaultPath
	command := &cobra.Command{
		Use:   "check",
		Short: "Show the problems of the configuration file, each with its line",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "%s: ok, %d users, %d hosts\n", path, len(settings.Users), len(settings.Hosts))
			return nil
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	return command
}
