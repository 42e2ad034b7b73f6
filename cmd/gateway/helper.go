package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/sftpd"
)

// newHelperCommand returns the command that runs this program as the helper inside a
// container. It is not for people: the gateway starts it.
func newHelperCommand() *cobra.Command {
	command := &cobra.Command{Use: "helper", Hidden: true, Args: cobra.NoArgs}
	var as helper.Options
	run := &cobra.Command{
		Use:  "run",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return helper.Run(as) },
	}
	run.Flags().StringVar(&as.Socket, "socket", "", "the gateway's `socket`, if it is mounted here")
	run.Flags().BoolVar(&as.RemoveSelf, "remove-self", false, "remove the executable once it runs")
	run.Flags().BoolVar(&as.Become, "become", false, "be the account that the first line of standard input names")
	child := &cobra.Command{
		Use:  "child",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return helper.RunChild() },
	}
	var limits sftpd.Options
	sftp := &cobra.Command{
		Use:  "sftp",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return sftpd.Serve(os.Stdin, os.Stdout, limits) },
	}
	sftp.Flags().BoolVar(&limits.ReadOnly, "read-only", false, "refuse what changes files")
	sftp.Flags().StringVar(&limits.Directory, "directory", "", "show nothing but what is in this `directory`")
	rc := &cobra.Command{
		Use:                "rc",
		Args:               cobra.MinimumNArgs(2),
		DisableFlagParsing: true, // the arguments belong to another program
		RunE:               func(_ *cobra.Command, of []string) error { return helper.RunRC(of) },
	}
	command.AddCommand(run, child, sftp, rc)
	return command
}
