package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"berth/audit"
	"berth/auth"
	"berth/config"
	"berth/gateway"
	"berth/hosts/configured"
	"berth/patches"
	"berth/state"
)

// defaultDrain gives connections time to end. It is shorter than the time after
// which systemd and docker stop kill the gateway.
const defaultDrain = 8 * time.Second

func newServeCommand() *cobra.Command {
	path, drain, verbose := config.DefaultPath, defaultDrain, false
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve every host on one SSH port",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return serve(ctx, settings, drain, newLog(verbose))
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().DurationVar(&drain, "drain", drain, "how much `time` connections have to end after SIGTERM")
	command.Flags().BoolVarP(&verbose, "verbose", "v", verbose, "log more")
	return command
}

// newLog logs lines of key=value to stderr, with quotes where a value needs them.
func newLog(verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// openAudit opens the audit file; it is nil if none is asked for.
func openAudit(settings config.Config, log *slog.Logger) (*audit.Log, error) {
	if settings.Audit.File == "" {
		return nil, nil
	}
	return audit.Open(settings.Audit, log)
}

// serve runs the gateway until ctx ends.
func serve(ctx context.Context, settings config.Config, drain time.Duration, log *slog.Logger) error {
	st, err := state.Open(settings.State)
	if err != nil {
		return err
	}
	directory, err := configured.Open(settings.Docker, st, settings.Hosts, log)
	if err != nil {
		return err
	}
	records, err := openAudit(settings, log)
	if err != nil {
		directory.Close()
		return err
	}
	defer records.Close()
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil { // another gateway may be there, whose helpers are to stay
		directory.Close()
		return fmt.Errorf("cannot listen on %s: %w", settings.Listen, err)
	}
	if err := directory.RemoveOldHelpers(); err != nil {
		log.Warn("old helpers not removed", "err", err)
	}
	server := &gateway.Server{
		HostKey:  st.HostKey(),
		UserCA:   st.UserCA(),
		Policies: auth.NewPolicies(settings.Policy),
		Codes:    codes(st.Dir()),
		Hosts:    directory,
		Log:      log,
		Audit:    records,
		Drain:    drain,

		Keepalive: settings.Keepalive,
		Wait:      settings.Wait,
	}
	if !patches.Applied() {
		log.Warn("built without the patches of x/crypto: clients can make this gateway leak memory; build it with make")
	}
	log.Info("serving", "address", listener.Addr().String(), "state", settings.State, "engine", settings.Docker,
		"host_key", ssh.FingerprintSHA256(st.HostKey().PublicKey()))
	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		directory.Run(following)
	}()
	err = server.Serve(ctx, listener)
	unfollow()
	<-followed
	directory.Close()
	log.Info("stopped")
	return err
}
