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
	// startTimeout is how long a front may take until it is ready.
	startTimeout = 30 * time.Second

	// answerTimeout is how long a front may take to answer.
	answerTimeout = 10 * time.Second

	// endTimeout is how much longer than its drain a front may take to end.
	endTimeout = 1700 * time.Millisecond

	// A front that ends is started again after firstPause; each time that it ends
	// within steadyAfter, the pause is doubled, up to maxPause.
	firstPause  = 100 * time.Millisecond
	maxPause    = 10 * time.Second
	steadyAfter = time.Minute
)

// Fronts keeps one front after the other. Its fields are set before it is used and not
// changed.
type Fronts struct {
	Keeper     *keeper.Keeper
	HostKeys   func(others bool) (gateway.HostKeys, error)
	Audit      *audit.Log       // nil: none
	Recordings *recording.Store // nil: none
	Settings   messages.Settings
	Args       []string // with which this program is a front
	Log        *slog.Logger

	listener *net.TCPListener
	seal     sealer
	hashing  chan struct{} // a place for each password that is tried
	asking   chan struct{} // and for each that the directory is asked about

	mu    sync.Mutex
	front *process       // nil while there is none
	aside *time.Duration // how long to linger; nil before StepAside
}

// Start starts the first front, which accepts connections from the listener, and
// returns when it is ready. The listener stays the caller's.
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
	if aside != nil { // meanwhile
		f.ask(messages.StepAside, *aside, nil)
	}
	return err
}

// Run keeps a front running until ctx ends, and returns when that has drained; or when
// it has ended after [Fronts.StepAside].
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
		if f.isAside() { // and nobody is there
			return nil
		}
		if pause = min(2*pause, maxPause); time.Since(began) > steadyAfter {
			pause = firstPause
		}
		f.beginAgain()
	}
}

// beginAgain starts another front. Where that fails, Run tries again after its pause.
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

// ask calls the front. If there is none, or it does not answer, result stays as it is.
func (f *Fronts) ask(verb string, args, result any) {
	p := f.current()
	if p == nil {
		return
	}
	if err := p.call(answerTimeout, verb, args, result); err != nil && !errors.Is(err, calls.ErrGone) {
		f.Log.Warn("the front does not answer", "asked", verb, "err", err)
	}
}

// StepAside has the front accept no more connections. It goes on with those that it has,
// for as long as linger.
func (f *Fronts) StepAside(linger time.Duration) {
	f.mu.Lock()
	f.aside = &linger
	f.mu.Unlock()
	f.ask(messages.StepAside, linger, nil)
}

// Live lists the connections of people who are logged in, the oldest first. Of their
// identities it knows the user alone.
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

// Wall shows lines on every terminal, and returns how many there are.
func (f *Fronts) Wall(lines ...string) (shown int) {
	f.ask(messages.Wall, lines, &shown)
	return shown
}

// Penalties are the sources that are slowed down for their failures, the worst first.
func (f *Fronts) Penalties() (all []messages.Penalty) {
	f.ask(messages.Penalties, nil, &all)
	return all
}

// Review ends the connections that the policy in force does not let go on, and returns how
// many those were.
func (f *Fronts) Review() (ended int) {
	f.ask(messages.Review, nil, &ended)
	return ended
}

// LogStrangers has the front log who there is.
func (f *Fronts) LogStrangers() { f.ask(messages.Strangers, nil, nil) }
