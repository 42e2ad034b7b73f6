package main

import (
	"context"
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
	"berth/gateway"
	"berth/hosts"
	"berth/hosts/configured"
	"berth/keysource"
	"berth/logqueue"
	"berth/operator"
	"berth/patches"
	"berth/proxy"
	"berth/recording"
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
	path, drain, logged, start := config.DefaultPath, defaultDrain, logging{form: logAuto, level: "info"}, starting{}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve every host on one SSH port",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			hangUps := make(chan os.Signal, 1)
			queue := logqueue.New(os.Stderr)
			defer queue.Close(logPatience)
			log, err := logged.to(queue, isTerminal(os.Stderr))
			if err != nil {
				return err
			}
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
			return serve(ctx, path, settings, hangUps, drain, start, log)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().DurationVar(&drain, "drain", drain, "how much `time` connections have to end after SIGTERM")
	logged.flags(command.Flags())
	command.Flags().BoolVar(&start.takeOver, "take-over", false, "take the place of the gateway that runs with this configuration, if there is one; it lets nobody in any more, and cuts nobody")
	command.Flags().BoolVar(&start.isService, "service", false, "")
	command.Flags().MarkHidden("service")
	return command
}

// starting is how a gateway starts.
type starting struct {
	takeOver  bool // the place of one that runs
	isService bool // systemd's, which starts another to upgrade it
}

// serve runs the gateway until ctx ends, or until another one has taken its place
// and everybody has left. It reads the file at path again at every hang-up and after
// every change.
func serve(ctx context.Context, path string, settings config.Config, hangUps <-chan os.Signal, drain time.Duration, start starting, log *slog.Logger) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	st, err := state.Open(settings.State)
	if err != nil {
		return err
	}
	logKey, err := st.LogKey()
	if err != nil {
		return err
	}
	started := false
	defer func() {
		if started {
			log.Info("stopped")
		}
	}()
	directory, err := configured.Open(settings.HostSettings(), st, log)
	if err != nil {
		return err
	}
	defer directory.Close()
	counted := newMetrics(settings)
	records, err := audit.Open(settings.Audit, counted.observe(), log)
	if err != nil {
		return err
	}
	defer records.Close()
	recordings, err := recording.Open(settings.Record, log)
	if err != nil {
		return err
	}
	taken, err := listen(ctx, settings, start.takeOver)
	if err != nil { // another gateway may be there, whose helpers are to stay
		return err
	}
	started = true
	server := newServer(settings, st, directory, logKey, drain, log)
	server.Audit, server.Recordings = records, recordings
	reloader, fetcher := newReloader(path, settings, server, directory.Exchange, log)
	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	defer beside.Wait()
	defer unfollow()
	beside.Go(func() { directory.Run(following) })
	if err := taken.Enter(); err != nil {
		log.Warn("the former gateway may still let people in", "err", err)
	}
	if err := directory.RemoveOldHelpers(); err != nil {
		log.Warn("old helpers not removed", "err", err)
	}
	at := &place{settings: settings, server: server, socket: taken.Listener, program: program, isService: start.isService, log: log}
	at.metrics = counted.serve(server, directory, at, log)
	at.open(verbs(reloader, &operator.Operator{Server: server, Version: release.Version(), Log: log}, at))
	defer at.close()
	sayServing(taken.Listener, settings, st, log)
	tellSystemd(daemon.SdNotifyReady, log)
	defer context.AfterFunc(ctx, at.stopping)()
	defer onSignal(syscall.SIGUSR1, server.LogStrangers)()
	defer onSignal(syscall.SIGUSR2, at.pause)()
	beside.Go(func() { reloader.Run(following, hangUps) })
	beside.Go(func() { fetcher.Run(following) })
	err = server.Serve(ctx, withProxies(taken.Listener, settings, log))
	at.hold(ctx)
	return err
}

func withProxies(listener net.Listener, settings config.Config, log *slog.Logger) net.Listener {
	if len(settings.Proxies) == 0 {
		return listener
	}
	return proxy.Listen(listener, settings.Proxies, log)
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

// newReloader makes what reloads the configuration, and what fetches the keys that
// it wants, whose changes are reloads.
func newReloader(path string, settings config.Config, server *gateway.Server, exchangeHosts func([]hosts.Entry), log *slog.Logger) (*reload.Reloader, *keysource.Fetcher) {
	fetcher := &keysource.Fetcher{Cache: keysource.In(settings.State), Every: settings.RefreshKeys, Log: log}
	reloader := reload.New(path, settings, server, func(next config.Config) {
		exchangeHosts(next.Hosts)
		fetcher.Want(next.KeySources)
	}, log)
	fetcher.Changed = func(source keysource.Source) { reloader.Reload("keys of " + source.Name) }
	fetcher.Want(settings.KeySources)
	return reloader, fetcher
}

func sayServing(listener net.Listener, settings config.Config, st *state.State, log *slog.Logger) {
	if !patches.Applied() {
		log.Warn("built without the patches of x/crypto: clients can make this gateway leak memory; build it with make")
	}
	log.Info("serving", "address", listener.Addr().String(), "state", settings.State, "engine", settings.Docker,
		"host_key", ssh.FingerprintSHA256(st.HostKey().PublicKey()))
}
