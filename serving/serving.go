// Package serving runs a gateway as a process of its box: it opens the state that the
// gateway keeps there, takes the place of a former gateway, and is reached by other
// programs, by signals and by systemd.
package serving

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/directory"
	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/fronts"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/configured"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/keysource"
	"github.com/berth-ssh/berth/memory"
	"github.com/berth-ssh/berth/openid"
	"github.com/berth-ssh/berth/operator"
	"github.com/berth-ssh/berth/patches"
	"github.com/berth-ssh/berth/recording"
	"github.com/berth-ssh/berth/release"
	"github.com/berth-ssh/berth/reload"
	"github.com/berth-ssh/berth/state"
	"github.com/berth-ssh/berth/totp"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/crypto/ssh"
)

// The verbs by which the owner of a box changes a gateway that runs (package
// control), besides those of package people.
const (
	VerbReload  = "reload"  // no arguments, no result
	VerbUpgrade = "upgrade" // no arguments; [Upgraded]
	VerbKeys    = "keys"    // no arguments; [TrustReport]
)

// Options say how a gateway is run.
type Options struct {
	Path         string        // of its configuration
	Drain        time.Duration // how long connections may go on when ctx has ended
	TakeOver     bool          // take the place of a gateway that runs
	IsService    bool          // systemd has started it, and starts another one to upgrade it
	SocketPassed bool          // systemd's socket is the first descriptor after the standard ones
	Front        []string      // arguments with which this program is a front

	// Pauses has an item when the gateway must accept no more connections, perhaps
	// before it is ready.
	Pauses <-chan os.Signal
}

// Run runs a gateway until ctx ends, or until another one has taken its place and
// all connections have ended. It reads its configuration again at every hang-up and
// after every change.
func Run(ctx context.Context, settings config.Config, options Options, hangUps <-chan os.Signal, log *slog.Logger) error {
	r, err := openResources(settings, log)
	if err != nil {
		return err
	}
	defer r.close()
	former, socket, err := listen(ctx, settings, options, log)
	if err != nil { // another gateway may be there, whose helpers are to stay
		return err
	}
	defer log.Info("stopped")
	keeper := newKeeper(settings, r, log)
	front := newFronts(settings, r, keeper, options, log)
	replace := func(next *auth.Policy, by string) int {
		keeper.Replace(next, by)
		return front.Review()
	}
	reloader, fetcher := newReloader(options.Path, settings, replace, r.directory.Replace, log)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	defer background.Wait()
	defer stopServing()
	background.Go(func() { r.directory.Run(serving) })
	background.Go(func() { memory.GiveBack(serving) })
	if err := front.Start(socket); err != nil {
		former.Close() // it keeps its place
		return err
	}
	if err := former.StepAside(); err != nil {
		log.Warn("the former gateway may still accept connections", "err", err)
	}
	if err := r.directory.RemoveOldHelpers(); err != nil {
		log.Warn("old helpers not removed", "err", err)
	}
	e := &endpoints{settings: settings, front: front, socket: socket, program: r.program, isService: options.IsService, log: log}
	e.metrics = r.counters.serve(front, r.directory, e, log)
	e.open(verbs(reloader, r, &operator.Operator{Server: front, Version: release.Version(), Log: log}, e))
	former.Close()
	defer e.close()
	logServing(socket, settings, r.state, log)
	tellSystemd(daemon.SdNotifyReady, log)
	defer context.AfterFunc(ctx, e.stopping)()
	defer onSignal(syscall.SIGUSR1, front.LogStrangers)()
	background.Go(func() { e.pauseWhenTold(serving, options.Pauses) })
	background.Go(func() { reloader.Run(serving, hangUps) })
	background.Go(func() { fetcher.Run(serving) })
	err = front.Run(ctx)
	stopServing() // nothing is served any more, and the state directory may be removed
	e.hold(ctx)
	return err
}

// resources are what a gateway opens before it listens.
type resources struct {
	program    string // the path of this one
	state      *state.State
	logKey     []byte
	directory  *configured.Hosts
	counters   *counters
	records    *audit.Log
	recordings *recording.Store
}

func openResources(settings config.Config, log *slog.Logger) (r *resources, err error) {
	r = &resources{counters: newCounters(settings)}
	if r.program, err = os.Executable(); err != nil {
		return nil, err
	}
	if r.state, err = state.OpenWithKeys(settings.State, settings.Keys); err != nil {
		return nil, err
	}
	if r.logKey, err = r.state.LogKey(); err != nil {
		return nil, err
	}
	if r.recordings, err = recording.Open(settings.Record, log); err != nil {
		return nil, err
	}
	if r.records, err = audit.Open(settings.Audit, r.counters.observe(), log); err != nil {
		r.recordings.Close()
		return nil, err
	}
	if r.directory, err = configured.Open(settings.HostSettings(), r.state, log); err != nil {
		r.records.Close()
		r.recordings.Close()
		return nil, err
	}
	return r, nil
}

func (r *resources) close() {
	r.records.Close()
	r.recordings.Close()
	r.directory.Close()
}

// verbs are what other programs may ask the gateway for.
func verbs(reloader *reload.Reloader, r *resources, by *operator.Operator, e *endpoints) map[string]control.Verb {
	verbs := by.Verbs()
	verbs[VerbUpgrade] = func(ctx context.Context, _ json.RawMessage) (any, error) { return e.upgrade(ctx) }
	verbs[VerbReload] = func(context.Context, json.RawMessage) (any, error) { return reloader.Reload("gateway reload") }
	verbs[VerbKeys] = func(ctx context.Context, _ json.RawMessage) (any, error) { return readKeys(ctx, r) }
	return verbs
}

// newKeeper makes the keeper from the settings and the resources.
func newKeeper(settings config.Config, r *resources, log *slog.Logger) *keeper.Keeper {
	k := &keeper.Keeper{
		Policies:        auth.NewPolicies(settings.Policy),
		Codes:           totp.In(r.state.Dir()),
		Hosts:           r.directory,
		UserCA:          func() ssh.Signer { return r.state.UserCA().Key },
		Recordings:      r.recordings,
		Audit:           r.records,
		LogKey:          r.logKey,
		LogUnknownUsers: settings.LogUnknownUsers,
		Log:             log,
	}
	if settings.LDAP != nil {
		k.Directory = directory.New(*settings.LDAP)
	}
	if settings.OIDC != nil {
		k.Provider = openid.New(*settings.OIDC, r.state.Dir())
	}
	return k
}

// newFronts makes what starts the front and answers it.
func newFronts(settings config.Config, r *resources, keeper *keeper.Keeper, options Options, log *slog.Logger) *fronts.Fronts {
	uid, gid := fronts.Account()
	var recheck time.Duration
	if settings.LDAP != nil {
		recheck = settings.LDAP.Recheck
	}
	return &fronts.Fronts{
		Keeper:     keeper,
		HostKeys:   hostKeysOf(r.state),
		Audit:      r.records,
		Recordings: r.recordings,
		Args:       options.Front,
		Log:        log,
		Settings: messages.Settings{
			UID: uid, GID: gid,
			Drain: options.Drain, Keepalive: settings.Keepalive, Wait: settings.Wait, Recheck: recheck,
			Exempt: settings.Exempt, Proxies: settings.Proxies,
			Audited: r.records != nil, RecordsGoOn: r.recordings.GoesOn(), RecordsSize: r.recordings.MaxSize(),
		},
	}
}

// newReloader makes what reloads the configuration, and what fetches the keys that it
// names. A change of those is a reload.
func newReloader(path string, settings config.Config, replace reload.ReplacePolicy, replaceHosts func([]hosts.Entry), log *slog.Logger) (*reload.Reloader, *keysource.Fetcher) {
	fetcher := &keysource.Fetcher{Cache: keysource.In(settings.State), Every: settings.RefreshKeys, Log: log}
	reloader := reload.New(path, settings, replace, func(next config.Config) {
		replaceHosts(next.Hosts)
		fetcher.Want(next.KeySources)
	}, log)
	fetcher.Changed = func(source keysource.Source) { reloader.Reload("keys of " + source.Name) }
	fetcher.Want(settings.KeySources)
	return reloader, fetcher
}

func logServing(listener net.Listener, settings config.Config, st *state.State, log *slog.Logger) {
	if !patches.Applied() {
		log.Warn("built without the patches of x/crypto: clients can make this gateway leak memory; build it with make")
	}
	log.Info("serving", "address", listener.Addr().String(), "state", settings.State, "engine", settings.Docker,
		"host_key", ssh.FingerprintSHA256(st.HostKey().PublicKey()))
}
