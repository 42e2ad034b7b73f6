package fronts

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/calls"
	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/recording"
	"github.com/berth-ssh/berth/strangers"
)

const (
	// startTimeout is how long a front may take to become ready.
	startTimeout = 30 * time.Second

	// answerTimeout is how long a front may take to answer a call.
	answerTimeout = 10 * time.Second

	// endTimeout is how long a front may take to end after its drain is over.
	endTimeout = 1700 * time.Millisecond

	// A front that ends is started again after firstPause; each time that it ends
	// within steadyAfter, the pause is doubled, up to maxPause.
	firstPause  = 100 * time.Millisecond
	maxPause    = 10 * time.Second
	steadyAfter = time.Minute
)

// Fronts keeps one front running at a time. Its fields must be set before its first
// use, and not changed later.
type Fronts struct {
	Keeper     *keeper.Keeper
	HostKeys   func(others bool) (gateway.HostKeys, error)
	Audit      *audit.Log       // nil for none
	Recordings *recording.Store // nil for none
	Settings   messages.Settings
	Args       []string // that make this program a front
	Log        *slog.Logger

	listener *net.TCPListener
	seal     sealer
	hashing  chan struct{} // a place for each password that is being tried
	asking   chan struct{} // a place for each password that the directory is being asked about

	mu    sync.Mutex
	front *process       // nil if none runs
	aside *time.Duration // how long to linger; nil before StepAside
}

// Start starts the first front, which accepts connections from the listener, and
// returns when that is ready. The caller keeps the listener.
func (f *Fronts) Start(listener *net.TCPListener) error {
	f.listener = listener
	f.seal = sealer{key: make([]byte, 32)}
	rand.Read(f.seal.key)
	f.hashing, f.asking = make(chan struct{}, runtime.GOMAXPROCS(0)), make(chan struct{}, strangers.MaxAsked)
	return f.begin()
}

func (f *Fronts) begin() error {
	p, err := f.start()
	f.mu.Lock()
	f.front = p
	aside := f.aside
	f.mu.Unlock()
	if aside != nil { // StepAside was called before the front was ready
		f.ask(messages.StepAside, *aside, nil)
	}
	return err
}

// Run keeps a front running. It returns when ctx has ended and the front has drained,
// or when the front has ended after [Fronts.StepAside].
func (f *Fronts) Run(ctx context.Context) error {
	pause := firstPause
	for {
		p, began := f.current(), time.Now()
		if p != nil {
			select {
			case <-ctx.Done():
				return p.stop(f.Settings.Drain + endTimeout)
			case <-p.ended:
			}
			if f.isAside() {
				return p.err
			}
			if p.err == nil {
				f.Log.Info("the front has served many, and keeps memory of them; another one is started")
				f.beginAgain()
				continue
			}
			f.Log.Error("the front has ended, and the connections that it served; another one is started", "err", p.err, "pause", pause)
			f.Audit.Write(audit.FrontEnded{Why: p.err.Error()})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if f.isAside() { // there is no front whose connections could go on
			return nil
		}
		if pause = min(2*pause, maxPause); time.Since(began) > steadyAfter {
			pause = firstPause
		}
		f.beginAgain()
	}
}

// beginAgain starts another front. If that fails, Run tries again after a pause.
func (f *Fronts) beginAgain() {
	if err := f.begin(); err != nil {
		f.Log.Error("no front was started", "err", err)
	}
}

func (f *Fronts) current() *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.front
}

func (f *Fronts) isAside() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.aside != nil
}

// ask calls the front. If there is none, or it does not answer, ask leaves result
// unchanged.
func (f *Fronts) ask(verb string, args, result any) {
	p := f.current()
	if p == nil {
		return
	}
	if err := p.call(answerTimeout, verb, args, result); err != nil && !errors.Is(err, calls.ErrGone) {
		f.Log.Warn("the front does not answer", "asked", verb, "err", err)
	}
}

// StepAside makes the front accept no more connections. The front goes on with those
// that it has, for at most linger.
func (f *Fronts) StepAside(linger time.Duration) {
	f.mu.Lock()
	f.aside = &linger
	f.mu.Unlock()
	f.ask(messages.StepAside, linger, nil)
}

// Live returns the connections of people who are logged in, the oldest first. Of
// their identities only the user is set.
func (f *Fronts) Live() (all []gateway.Live) {
	var after messages.LiveAfter
	for range maxEntrances / messages.MaxLive {
		var told []messages.LiveConn
		f.ask(messages.Live, after, &told)
		for _, one := range told {
			live := one.Live
			live.Identity = auth.Identity{User: one.User}
			all = append(all, live)
			after = messages.After(live)
		}
		if len(told) < messages.MaxLive {
			break
		}
	}
	return all
}

// End ends a live connection (see [gateway.Server.End]).
func (f *Fronts) End(id, reason string) (ended bool) {
	f.ask(messages.End, messages.Ending{ID: id, Reason: reason}, &ended)
	return ended
}

// Wall shows lines on every terminal, and returns on how many.
func (f *Fronts) Wall(lines ...string) (shown int) {
	f.ask(messages.Wall, lines, &shown)
	return shown
}

// Penalties returns the sources that are slowed down after failures, the worst first.
func (f *Fronts) Penalties() (all []messages.Penalty) {
	f.ask(messages.Penalties, nil, &all)
	return all
}

// Review ends the connections that the policy in force no longer allows, and returns
// how many it ended.
func (f *Fronts) Review() (ended int) {
	f.ask(messages.Review, nil, &ended)
	return ended
}

// LogStrangers makes the front log its strangers and penalties.
func (f *Fronts) LogStrangers() { f.ask(messages.Strangers, nil, nil) }
