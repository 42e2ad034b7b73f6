package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/people"
)

func newKickCommand() *cobra.Command {
	path, message, all := config.DefaultPath, "", false
	command := &cobra.Command{
		Use:   "kick PERSON|CONN|--all",
		Short: "End somebody's connections",
		Long: "End all connections of a person; or one connection, by the id that sessions shows; or\n" +
			"those of everybody. Each session is told why, and exits with 255. The person can log\n" +
			"in again. To keep somebody out, remove the grant in gateway.yaml, and reload: that\n" +
			"ends the connections, too.",
		Args: func(command *cobra.Command, args []string) error {
			if all {
				return cobra.NoArgs(command, args)
			}
			return cobra.ExactArgs(1)(command, args)
		},
		RunE: func(command *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), callTimeout)
			defer cancel()
			who := people.Kick{Who: strings.Join(args, ""), All: all, Message: message}
			answers, err := control.CallAll[people.Kicked](ctx, config.StateDir(path), people.VerbKick, who)
			var ids []string
			for _, answer := range answers {
				ids = append(ids, answer.IDs...)
			}
			if err == nil && len(ids) == 0 && !all {
				return fmt.Errorf("nobody is connected as %q, and no connection has that id; see: berth-gateway sessions", who.Who)
			}
			if len(ids) > 0 {
				fmt.Fprintf(command.OutOrStdout(), "ended %s: %s\n", count(len(ids), "connection"), strings.Join(ids, " "))
			}
			return err
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`, for its state directory")
	command.Flags().BoolVar(&all, "all", all, "end everybody's connections")
	command.Flags().StringVarP(&message, "message", "m", message, "what the person is told: one `line`")
	return command
}

func newWallCommand() *cobra.Command {
	path := config.DefaultPath
	command := &cobra.Command{
		Use:   "wall MESSAGE",
		Short: "Show a message on every terminal",
		Long: "Show a message to everybody who is at a terminal, in all hosts. Commands and copies\n" +
			"without a terminal do not see it.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), callTimeout)
			defer cancel()
			answers, err := control.CallAll[people.Walled](ctx, config.StateDir(path), people.VerbWall, people.Wall{Message: strings.Join(args, " ")})
			terminals := 0
			for _, answer := range answers {
				terminals += answer.Terminals
			}
			if err == nil {
				fmt.Fprintf(command.OutOrStdout(), "shown on %s\n", count(terminals, "terminal"))
			}
			return err
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`, for its state directory")
	return command
}
