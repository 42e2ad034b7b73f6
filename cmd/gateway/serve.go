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

	"berth/auth"
	"berth/gateway"
	"berth/hosts/configured"
	"berth/state"

	"github.com/spf13/cobra"
)

// defaultDrain leaves time for what is under way to end, and is shorter than
// the patience of systemd and docker stop.
const defaultDrain = 8 * time.Second

func newServeCommand() *cobra.Command {
	path, drain, verbose := defaultConfig, defaultDrain, false
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve every host on one SSH port",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := loadConfig(path)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return serve(ctx, config, drain, newLog(verbose))
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().DurationVar(&drain, "drain", drain, "how long connections may go on after SIGTERM")
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

// serve runs the gateway until ctx ends.
func serve(ctx context.Context, config Config, drain time.Duration, log *slog.Logger) error {
	st, err := state.Open(config.State)
	if err != nil {
		return err
	}
	directory, err := configured.Open(config.Docker, st, config.Hosts, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil { // another gateway may be there, whose helpers are to stay
		directory.Close()
		return fmt.Errorf("cannot listen on %s: %w", config.Listen, cause(err))
	}
	if err := directory.RemoveOldHelpers(); err != nil {
		log.Warn("old helpers not removed", "err", err)
	}
	server := &gateway.Server{
		HostKey:  st.HostKey(),
		UserCA:   st.UserCA(),
		Policies: auth.NewPolicies(config.Policy),
		Hosts:    directory,
		Log:      log,
		Drain:    drain,

		Keepalive: config.Keepalive,
		Wait:      config.Wait,
	}
	log.Info("serving", "address", listener.Addr().String(), "state", config.State, "engine", config.Docker)
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
