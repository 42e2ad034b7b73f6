package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"berth/auth"
	"berth/config"
	"berth/control"
	"berth/gateway"
	"berth/hosts/configured"
	"berth/patches"
	"berth/proxy"
	"berth/reload"
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
			hangUps := make(chan os.Signal, 1)
			signal.Notify(hangUps, syscall.SIGHUP)
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return serve(ctx, path, settings, hangUps, drain, newLog(verbose))
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

// serve runs the gateway until ctx ends. It reads the file at path again at every
// hang-up and after every change.
func serve(ctx context.Context, path string, settings config.Config, hangUps <-chan os.Signal, drain time.Duration, log *slog.Logger) error {
	st, err := state.Open(settings.State)
	if err != nil {
		return err
	}
	directory, err := configured.Open(settings.Docker, st, settings.Hosts, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil { // another gateway may be there, whose helpers are to stay
		directory.Close()
		return fmt.Errorf("cannot listen on %s: %w", settings.Listen, err)
	}
	if len(settings.Proxies) > 0 {
		listener = proxy.Listen(listener, settings.Proxies, log)
	}
	if err := directory.RemoveOldHelpers(); err != nil {
		log.Warn("old helpers not removed", "err", err)
	}
	server := &gateway.Server{
		HostKey:  st.HostKey(),
		UserCA:   st.UserCA(),
		Policies: auth.NewPolicies(settings.Policy),
		Hosts:    directory,
		Log:      log,
		Drain:    drain,

		Keepalive: settings.Keepalive,
		Wait:      settings.Wait,
	}
	if !patches.Applied() {
		log.Warn("built without the patches of x/crypto: clients can make this gateway leak memory; build it with make")
	}
	log.Info("serving", "address", listener.Addr().String(), "state", settings.State, "engine", settings.Docker,
		"host_key", ssh.FingerprintSHA256(st.HostKey().PublicKey()))
	reloader := reload.New(path, settings, server, directory.Exchange, log)
	controls, err := control.Listen(control.SocketIn(settings.State), verbs(reloader), log)
	if err != nil {
		log.Warn("gateway reload cannot reach this gateway; SIGHUP can", "err", err)
	}
	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { directory.Run(following) })
	beside.Go(func() { reloader.Run(ctx, hangUps) })
	err = server.Serve(ctx, listener)
	if controls != nil {
		controls.Close()
	}
	unfollow()
	beside.Wait()
	directory.Close()
	log.Info("stopped")
	return err
}
