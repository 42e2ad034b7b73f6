package main

import (
	"context"
	"errors"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"berth/config"
	"berth/selftest"
)

func newSelftestCommand() *cobra.Command {
	path, account, quick, verbose := config.DefaultPath, "", false, false
	command := &cobra.Command{
		Use:   "selftest HOST",
		Short: "Try on a host whatever an SSH client may do, and say what does not work",
		Long: "Try on a host whatever an SSH client may do, and say what does not work and why.\n" +
			"It logs in through a gateway of its own, on a port of 127.0.0.1, with a key made\n" +
			"for it: a gateway that serves is not disturbed. Run it as the gateway's account.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one host: gateway selftest HOST")
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = newLog(true)
			}
			if !command.Flags().Changed("account") {
				account = selftest.GrantedAccount(settings.Users, args[0])
			}
			return tryHost(ctx, newTable(command.OutOrStdout()), selftest.Options{
				Config: settings, Host: args[0], Account: account, Bulk: bulkSize(quick), Log: log,
			})
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().StringVar(&account, "account", "", "account in the host; else one that is granted there, else the host's own")
	command.Flags().BoolVar(&quick, "quick", quick, "send 64 MiB, not a GiB")
	command.Flags().BoolVarP(&verbose, "verbose", "v", verbose, "log what the gateway does")
	return command
}

func bulkSize(quick bool) int64 {
	if quick {
		return 64 << 20
	}
	return 1 << 30
}

func tryHost(ctx context.Context, rows *table, options selftest.Options) error {
	run, err := selftest.Start(ctx, options)
	if err != nil {
		return err
	}
	defer run.Close(ctx)
	rows.title("%s", run)
	err = run.Run(ctx, rows.begin, rows.end)
	rows.total()
	return err
}
