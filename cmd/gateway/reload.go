package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/reload"
	"github.com/berth-ssh/berth/serving"
)

// callTimeout is how long a running gateway may take to answer.
const callTimeout = 30 * time.Second

func newReloadCommand() *cobra.Command {
	path := config.DefaultPath
	command := &cobra.Command{
		Use:   "reload",
		Short: "Have the running gateway read its configuration again",
		Long: "Have the running gateway read its configuration again: gateway.yaml and\n" +
			"users.d/*.yaml beside it. If anything in them is wrong, nothing changes and the\n" +
			"problems are printed. Otherwise all of it takes effect at once: people who lost\n" +
			"a grant are told and disconnected, nobody else notices. Run it as root or as the\n" +
			"gateway's account.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), callTimeout)
			defer cancel()
			report, err := askToReload(ctx, path)
			if err != nil {
				return err
			}
			out := command.OutOrStdout()
			fmt.Fprintf(out, "reloaded: %s, %s ended\n", count(report.Users, "user"), count(report.Ended, "connection"))
			for _, warning := range report.Warnings {
				fmt.Fprintln(command.ErrOrStderr(), warning)
			}
			if len(report.NeedsRestart) > 0 {
				fmt.Fprintf(command.ErrOrStderr(), "%s: warning: restart the gateway for the change of %s\n", path, strings.Join(report.NeedsRestart, ", "))
			}
			return nil
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`, for its state directory")
	return command
}

func askToReload(ctx context.Context, path string) (report reload.Report, err error) {
	reports, err := control.CallAll[reload.Report](ctx, config.StateDir(path), serving.VerbReload, nil)
	if len(reports) > 0 {
		report = reports[0]
		for _, former := range reports[1:] { // gateways that still have connections, whose people may also have lost something
			report.Ended += former.Ended
		}
	}
	if errors.Is(err, control.ErrNotRunning) {
		if _, wrong := config.Load(path); wrong != nil { // probably the same error stops the gateway
			return report, wrong
		}
	}
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		err = fmt.Errorf("not reloaded, what was in force stays so:\n%w", err)
	}
	return report, err
}
