package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/state"
)

func newForgetCommand() *cobra.Command {
	path := config.DefaultPath
	command := &cobra.Command{
		Use:   "forget HOST",
		Short: "Let another container have the name of a host",
		Long: "Let another container have the name of a host. A grant is for a name, so the gateway\n" +
			"remembers which service had the name first, and refuses any other container of that\n" +
			"name, also when the first one is gone. After this command the next container of that\n" +
			"name gets it. berth-provision up does the same for the hosts that it creates.",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := auth.CheckName(args[0]); err != nil {
				return err
			}
			st, err := state.Open(config.StateDir(path))
			if err != nil {
				return err
			}
			owner, err := st.Owner(args[0])
			switch {
			case err != nil:
				return err
			case owner == "":
				fmt.Fprintf(command.OutOrStdout(), "host %s belongs to no container: there is nothing to forget\n", args[0])
				return nil
			}
			fmt.Fprintf(command.OutOrStdout(), "host %s was that of %s; the next container that carries the name has it\n", args[0], owner)
			return st.ForgetHost(args[0])
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`, for its state directory")
	return command
}
