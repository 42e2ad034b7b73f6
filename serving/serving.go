// Package serving runs a gateway as a process of its box: with the state that it
// keeps there, in the place of a former one, reachable by other programs, by signals
// and by systemd.
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
	VerbKeys    = "keys"    // no arguments; [Told]
)

// Options say how a gateway is run.
type Options struct {
	Path      string        // of its configuration
	Drain     time.Duration // how much time connections have to end when ctx has ended
	TakeOver  bool          // the place of a gateway that runs
	IsService bool          // systemd's, which starts another one to upgrade it
	IsPassed  bool          // the socket, as the first descriptor after the standard ones: systemd listens on it
	Front     []string      // arguments with which this program is a front

	// Pauses has something in it when the gateway is to let nobody in any more; it may have
	// before the gateway is ready to let somebody in.
	Pauses <-chan os.Signal
}

// Run runs a gateway until ctx ends, or until another one has taken its place and
// everybody has left. It reads its configuration again at every hang-up and after
// every change.
func Run(ctx context.Context, settings config.Config, options Options, hangUps <-chan os.Signal, log *slog.Logger) error {
	has, err := open(settings, log)
	if err != nil {
		return err
	}
	defer has.close()
	taken, err := listen(ctx, settings, options, log)
	if err != nil { // another gateway may be there, whose helpers are to stay
		return err
	}
	defer log.Info("stopped")
	kept := newKeeper(settings, has, log)
	front := newFronts(settings, has, kept, options, log)
	exchange := func(next *auth.Policy, by string) int {
		kept.Exchange(next, by)
		return front.Review()
	}
	reloader, fetcher := newReloader(options.Path, settings, exchange, has.directory.Exchange, log)
	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	defer beside.Wait()
	defer unfollow()
	beside.Go(func() { has.directory.Run(following) })
	beside.Go(func() { memory.GiveBack(following) })
	if err := front.Start(taken.Listener); err != nil {
		taken.Leave() // the former gateway keeps its place
		return err
	}
	if err := taken.Enter(); err != nil {
		log.Warn("the former gateway may still let people in", "err", err)
	}
	if err := has.directory.RemoveOldHelpers(); err != nil {
		log.Warn("old helpers not removed", "err", err)
	}
	at := &place{settings: settings, front: front, socket: taken.Listener, program: has.program, isService: options.IsService, log: log}
	at.metrics = has.counted.serve(front, has.directory, at, log)
	at.open(verbs(reloader, has, &operator.Operator{Server: front, Version: release.Version(), Log: log}, at))
	taken.Leave()
	defer at.close()
	sayServing(taken.Listener, settings, has.state, log)
	tellSystemd(daemon.SdNotifyReady, log)
	defer context.AfterFunc(ctx, at.stopping)()
	defer onSignal(syscall.SIGUSR1, front.LogStrangers)()
	beside.Go(func() { at.pauseAfter(following, options.Pauses) })
	beside.Go(func() { reloader.Run(following, hangUps) })
	beside.Go(func() { fetcher.Run(following) })
	err = front.Run(ctx)
	unfollow() // nobody is served any more, and the state directory may be removed
	at.hold(ctx)
	return err
}

// opened is what a gateway has before it listens.
type opened struct {
	program    string // the path of this one
	state      *state.State
	logKey     []byte
	directory  *configured.Hosts
	counted    *counted
	records    *audit.Log
	recordings *recording.Store
}

func open(settings config.Config, log *slog.Logger) (has *opened, err error) {
	has = &opened{counted: newMetrics(settings)}
	if has.program, err = os.Executable(); err != nil {
		return nil, err
	}
	if has.state, err = state.OpenWithKeys(settings.State, settings.Keys); err != nil {
		return nil, err
	}
	if has.logKey, err = has.state.LogKey(); err != nil {
		return nil, err
	}
	if has.recordings, err = recording.Open(settings.Record, log); err != nil {
		return nil, err
	}
	if has.records, err = audit.Open(settings.Audit, has.counted.observe(), log); err != nil {
		has.recordings.Close()
		return nil, err
	}
	if has.directory, err = configured.Open(settings.HostSettings(), has.state, log); err != nil {
		has.records.Close()
		has.recordings.Close()
		return nil, err
	}
	return has, nil
}

func (o *opened) close() {
	o.records.Close()
	o.recordings.Close()
	o.directory.Close()
}

// verbs are what other programs may ask the gateway for.
func verbs(reloader *reload.Reloader, has *opened, by *operator.Operator, at *place) map[string]control.Verb {
	verbs := by.Verbs()
	verbs[VerbUpgrade] = func(ctx context.Context, _ json.RawMessage) (any, error) { return at.upgrade(ctx) }
	verbs[VerbReload] = func(context.Context, json.RawMessage) (any, error) { return reloader.Reload("gateway reload") }
	verbs[VerbKeys] = func(ctx context.Context, _ json.RawMessage) (any, error) { return readKeys(ctx, has) }
	return verbs
}

// newKeeper makes the keeper of the settings and of what was opened.
func newKeeper(settings config.Config, has *opened, log *slog.Logger) *keeper.Keeper {
	kept := &keeper.Keeper{
		Policies:        auth.NewPolicies(settings.Policy),
		Codes:           totp.In(has.state.Dir()),
		Hosts:           has.directory,
		UserCA:          func() ssh.Signer { return has.state.UserCA().Key },
		Recordings:      has.recordings,
		Audit:           has.records,
		LogKey:          has.logKey,
		LogUnknownUsers: settings.LogUnknownUsers,
		Log:             log,
	}
	if settings.LDAP != nil {
		kept.Directory = directory.New(*settings.LDAP)
	}
	if settings.OIDC != nil {
		kept.Provider = openid.New(*settings.OIDC, has.state.Dir())
	}
	return kept
}

// newFronts makes what keeps the front, of the settings and of what was opened.
func newFronts(settings config.Config, has *opened, kept *keeper.Keeper, options Options, log *slog.Logger) *fronts.Fronts {
	uid, gid := fronts.Account()
	var recheck time.Duration
	if settings.LDAP != nil {
		recheck = settings.LDAP.Recheck
	}
	return &fronts.Fronts{
		Keeper:     kept,
		HostKeys:   hostKeysOf(has.state),
		Audit:      has.records,
		Recordings: has.recordings,
		Args:       options.Front,
		Log:        log,
		Settings: messages.Settings{
			UID: uid, GID: gid,
			Drain: options.Drain, Keepalive: settings.Keepalive, Wait: settings.Wait, Recheck: recheck,
			Exempt: settings.Exempt, Proxies: settings.Proxies,
			Audited: has.records != nil, RecordsGoOn: has.recordings.GoesOn(),
		},
	}
}

// newReloader makes what reloads the configuration, and what fetches the keys that
// it wants, whose changes are reloads.
func newReloader(path string, settings config.Config, exchange reload.Exchange, exchangeHosts func([]hosts.Entry), log *slog.Logger) (*reload.Reloader, *keysource.Fetcher) {
	fetcher := &keysource.Fetcher{Cache: keysource.In(settings.State), Every: settings.RefreshKeys, Log: log}
	reloader := reload.New(path, settings, exchange, func(next config.Config) {
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
