package main

import (
	"encoding/json"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/provision/apply"
)

// reportCommand returns the command that runs this program in a container on a box
// elsewhere. Provision starts it; it is not for people.
func reportCommand() *cobra.Command {
	root := ""
	command := &cobra.Command{
		Use:    apply.Report,
		Short:  "Say as JSON what this box has",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if root != "" {
				if err := syscall.Chroot(root); err != nil {
					return err
				}
				if err := syscall.Chdir("/"); err != nil {
					return err
				}
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(box.MakeReport(cmd.Context()))
		},
	}
	command.Flags().StringVar(&root, "root", "", "`directory` of the box's files")
	return command
}
