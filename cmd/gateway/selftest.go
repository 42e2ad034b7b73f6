package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"berth/auth"

	"github.com/spf13/cobra"
)

func newSelftestCommand() *cobra.Command {
	path, account, quick, verbose := defaultConfig, "", false, false
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
			config, err := loadConfig(path)
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
				account = grantedAccount(config.Users, args[0])
			}
			return runSelftest(ctx, newTable(command.OutOrStdout()), config, args[0], account, bulkSize(quick), log)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().StringVar(&account, "account", "", "account in the host; else one that is granted there, else the host's own")
	command.Flags().BoolVar(&quick, "quick", quick, "send 64 MiB, not a GiB")
	command.Flags().BoolVarP(&verbose, "verbose", "v", verbose, "log what the gateway does")
	return command
}

// grantedAccount is the account of the first user who may enter the host.
func grantedAccount(users []auth.User, host string) string {
	for _, user := range users {
		if grant, granted := user.Hosts[host]; granted {
			return grant.Account()
		}
	}
	return ""
}

func bulkSize(quick bool) int64 {
	if quick {
		return 64 << 20
	}
	return 1 << 30
}

// selftest is a run of all checks on one host.
type selftest struct {
	gateway *selftestGateway
	clients clients // the OpenSSH programs of this machine
	size    int64   // of the bulk, each way

	there string // a directory in the host; "" until a check has made it
}

// check is a row of the table. Its run has a connection of its own, which ends
// with it, and may return a note for the row.
type check struct {
	name    string
	timeout time.Duration
	run     func(context.Context, *visit) (note string, err error)
	gate    bool // while it fails, no other can tell anything
}

func allChecks() []check {
	return slices.Concat(entryChecks(), sessionChecks(), fileChecks(), forwardChecks(), bulkChecks(), vscodeChecks())
}

// runSelftest is the selftest, top to bottom. When it returns, nothing of it
// is left here nor, if it can still be entered, in the host.
func runSelftest(ctx context.Context, rows *table, config Config, host, account string, size int64, log *slog.Logger) error {
	gateway, err := startSelftestGateway(ctx, config, host, account, log)
	if err != nil {
		return err
	}
	defer gateway.stop()
	clients, err := newClients(gateway)
	if err != nil {
		return err
	}
	defer os.RemoveAll(clients.dir)

	t := &selftest{gateway: gateway, clients: clients, size: size}
	defer t.leave(ctx)
	rows.title("%s", gateway)
	t.performAll(ctx, rows)
	rows.total()
	switch {
	case ctx.Err() != nil:
		return errors.New("the selftest was interrupted")
	case rows.failed > 0:
		return fmt.Errorf("host %q failed %d of %d checks", host, rows.failed, rows.failed+rows.ok)
	}
	return nil
}

func (t *selftest) performAll(ctx context.Context, rows *table) {
	checks := allChecks()
	for i, c := range checks {
		rows.begin(c.name)
		began := time.Now()
		note, err := t.perform(ctx, c)
		if ctx.Err() != nil {
			return
		}
		rows.end(c.name, time.Since(began), note, err)
		if c.gate && err != nil {
			rows.rest(len(checks)-1-i, "until that is mended")
			return
		}
	}
}

// perform makes a connection and tries one thing on it.
func (t *selftest) perform(ctx context.Context, c check) (note string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	v, err := t.enter(ctx)
	if err == nil {
		note, err = c.run(ctx, v)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "", fmt.Errorf("not done within %v: %w", c.timeout, err)
	}
	return note, err
}

// leave removes the directory in the host, also after Ctrl-C.
func (t *selftest) leave(ctx context.Context) {
	if t.there == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if v, err := t.enter(ctx); err == nil {
		v.sh("rm -rf "+quote(t.there), nil)
	}
}
