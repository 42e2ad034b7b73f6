package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"berth/audit"
	"berth/auth"
	"berth/config"
	"berth/control"
	"berth/gateway"
	"berth/hosts/configured"
	"berth/logqueue"
	"berth/operator"
	"berth/patches"
	"berth/proxy"
	"berth/release"
	"berth/reload"
	"berth/state"
)

// defaultDrain gives connections time to end. It is shorter than the time after
// which systemd and docker stop kill the gateway.
const defaultDrain = 8 * time.Second

const (
	// stopPatience is how much longer than the drain all of an end may take. It
	// is more than connections take, which are cut then, and their hosts.
	stopPatience = 1900 * time.Millisecond

	// logPatience is how long the log's reader may take to read the last lines.
	logPatience = 100 * time.Millisecond
)

func newServeCommand() *cobra.Command {
	path, drain, verbose := config.DefaultPath, defaultDrain, false
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve every host on one SSH port",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			hangUps := make(chan os.Signal, 1)
			queue := logqueue.New(os.Stderr)
			defer queue.Close(logPatience)
			log := newLog(queue, verbose)
			exit := func() {
				queue.Close(logPatience)
				os.Exit(1)
			}
			hangUp := func() {
				select {
				case hangUps <- syscall.SIGHUP:
				default: // one is waiting
				}
			}
			ctx, stop := signals{log: log, patience: drain + stopPatience, exit: exit, reload: hangUp}.heed(command.Context())
			defer stop()
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			return serve(ctx, path, settings, hangUps, drain, log)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().DurationVar(&drain, "drain", drain, "how much `time` connections have to end after SIGTERM")
	command.Flags().BoolVarP(&verbose, "verbose", "v", verbose, "log more")
	return command
}

// newLog logs lines of key=value, with quotes where a value needs them.
func newLog(to io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: level}))
}

// openAudit opens the audit file; it is nil if none is asked for.
func openAudit(settings config.Config, log *slog.Logger) (*audit.Log, error) {
	if settings.Audit.File == "" {
		return nil, nil
	}
	return audit.Open(settings.Audit, log)
}

// serve runs the gateway until ctx ends. It reads the file at path again at every
// hang-up and after every change.
func serve(ctx context.Context, path string, settings config.Config, hangUps <-chan os.Signal, drain time.Duration, log *slog.Logger) error {
	st, err := state.Open(settings.State)
	if err != nil {
		return err
	}
	logKey, err := st.LogKey()
	if err != nil {
		return err
	}
	directory, err := configured.Open(settings.HostSettings(), st, log)
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
	if len(settings.Proxies) > 0 {
		listener = proxy.Listen(listener, settings.Proxies, log)
	}
	if err := directory.RemoveOldHelpers(); err != nil {
		log.Warn("old helpers not removed", "err", err)
	}
	server := newServer(settings, st, directory, logKey, drain, log)
	server.Audit = records
	sayServing(listener, settings, st, log)
	reloader := reload.New(path, settings, server, directory.Exchange, log)
	controls, err := control.Listen(control.SocketIn(settings.State), verbs(reloader, &operator.Operator{Server: server, Version: release.Version(), Log: log}), log)
	if err != nil {
		log.Warn("gateway reload cannot reach this gateway; SIGHUP can", "err", err)
	}
	tellSystemd(daemon.SdNotifyReady, log)
	defer context.AfterFunc(ctx, func() { tellSystemd(daemon.SdNotifyStopping, log) })()
	defer onSignal(syscall.SIGUSR1, server.LogStrangers)()
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

// newServer makes the gateway of its settings and of what the box keeps for it.
func newServer(settings config.Config, st *state.State, directory gateway.Hosts, logKey []byte, drain time.Duration, log *slog.Logger) *gateway.Server {
	return &gateway.Server{
		HostKey:       st.HostKey(),
		OtherHostKeys: st.OtherHostKeys,
		UserCA:        st.UserCA(),
		Policies:      auth.NewPolicies(settings.Policy),
		Codes:         codes(st.Dir()),
		Hosts:         directory,
		Log:           log,
		Drain:         drain,

		LogKey:          logKey,
		LogUnknownUsers: settings.LogUnknownUsers,
		Exempt:          settings.Exempt,

		Keepalive: settings.Keepalive,
		Wait:      settings.Wait,
	}
}

func sayServing(listener net.Listener, settings config.Config, st *state.State, log *slog.Logger) {
	if !patches.Applied() {
		log.Warn("built without the patches of x/crypto: clients can make this gateway leak memory; build it with make")
	}
	log.Info("serving", "address", listener.Addr().String(), "state", settings.State, "engine", settings.Docker,
		"host_key", ssh.FingerprintSHA256(st.HostKey().PublicKey()))
}
