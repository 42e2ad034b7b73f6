package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/selftest"
)

func newSelftestCommand() *cobra.Command {
	path, account, quick, verbose := config.DefaultPath, "", false, false
	command := &cobra.Command{
		Use:   "selftest HOST",
		Short: "Try everything that an SSH client does on a host",
		Long: "Try everything that an SSH client does on a host, and say what fails and why.\n" +
			"It logs in with a new key through a gateway of its own, on a port of 127.0.0.1.\n" +
			"It does not disturb a gateway that is running. Run it as the gateway's account.",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
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
	command.Flags().StringVar(&account, "account", "", "`account` in the host (default: that of the first grant for the host, else the host's)")
	command.Flags().BoolVar(&quick, "quick", quick, "send 64 MiB instead of 1 GiB")
	command.Flags().BoolVarP(&verbose, "verbose", "v", verbose, "also print the log of its own gateway")
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
