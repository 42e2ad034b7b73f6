package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"berth/config"
)

func newCheckCommand() *cobra.Command {
	path := config.DefaultPath
	command := &cobra.Command{
		Use:   "check",
		Short: "Show the problems of the configuration file, each with its line",
		Long: "Show the problems of the configuration file, each with its line. Then look at\n" +
			"this machine: the mode of the state directory, and whether the port is free.\n" +
			"A warning does not change the exit code.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			if err := warn(command.ErrOrStderr(), path, settings); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "%s: ok, %s, %s\n", path, count(len(settings.Users), "user"), count(len(settings.Hosts), "host"))
			return nil
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	return command
}

// warn prints what serve would accept, but what is probably not meant. Its error
// is what serve would stop at.
func warn(w io.Writer, path string, settings config.Config) error {
	warnings, err := settings.CheckHere()
	if err != nil {
		return err
	}
	for _, warning := range settings.Warnings {
		fmt.Fprintln(w, warning)
	}
	for _, warning := range warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", path, warning)
	}
	for _, user := range withoutCodes(settings) {
		fmt.Fprintf(w, "%s: warning: user %s must show a code to log in, and has no authenticator; run: gateway totp %s\n", path, user, user)
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
