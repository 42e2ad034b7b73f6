package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/front"
	"github.com/berth-ssh/berth/logqueue"
)

// newFrontCommand returns the command that runs this program as the front, the
// process that parses the network. It is not for people: serve starts it.
func newFrontCommand() *cobra.Command {
	logged := logging{form: logAuto, level: "info"}
	command := &cobra.Command{
		Use:    "front",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			queue := logqueue.New(os.Stderr)
			defer queue.Close(logPatience)
			log, err := logged.to(queue, isTerminal(os.Stderr))
			if err != nil {
				return err
			}
			return front.Run(log)
		},
	}
	logged.flags(command.Flags())
	return command
}
