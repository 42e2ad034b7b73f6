package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/machine"
)

// How long a helper that nobody uses is kept for the next login. One elsewhere may have been
// brought there by a slow way.
const (
	Idle          = time.Minute
	IdleElsewhere = 10 * time.Minute
)

// Pool is the helpers that run. It is safe for use by many connections at once.
type Pool struct {
	log  *slog.Logger
	idle time.Duration

	mu      sync.Mutex
	running map[Key]*running
}

// Key is what a helper is of.
type Key struct {
	Container string // its full id, "" for this machine
	Account   string
	Person    string // whose it is alone; "": everybody's who enters as the account
}

type running struct {
	started chan struct{} // closed when client or err is set
	client  *helper.Client
	err     error

	users int // guarded by Pool.mu
	idle  *time.Timer
}

// New makes a pool without helpers, which keeps those that nobody uses for so long.
func New(idle time.Duration, log *slog.Logger) *Pool {
	return &Pool{log: log, idle: idle, running: map[Key]*running{}}
}

// Open opens a helper for one connection of a person; start starts one if none
// runs. It waits for the start, or until ctx ends; the start goes on then, since
// the next login will want it. The machine is the caller's to close.
func (p *Pool) Open(ctx context.Context, key Key, start func() (*helper.Client, error)) (machine.Machine, error) {
	opened, err := p.tryOpen(ctx, key, start)
	if errors.Is(err, errEnded) { // before anyone noticed
		return p.tryOpen(ctx, key, start)
	}
	return opened, err
}

// errEnded is about a helper that was thought to run.
var errEnded = errors.New("the helper has ended")

func (p *Pool) tryOpen(ctx context.Context, key Key, start func() (*helper.Client, error)) (machine.Machine, error) {
	r := p.use(key, start)
	select {
	case <-r.started:
	case <-ctx.Done():
		p.unuse(key, r)
		return nil, ctx.Err()
	}
	if r.err != nil {
		p.unuse(key, r)
		return nil, r.err
	}
	opened, err := r.client.Open()
	if err != nil {
		p.forget(key, r)
		p.unuse(key, r)
		return nil, fmt.Errorf("%w: %w", errEnded, err)
	}
	return &usedMachine{opened, sync.OnceFunc(func() { p.unuse(key, r) })}, nil
}

// usedMachine keeps its helper from leaving.
type usedMachine struct {
	*helper.Opened
	unuse func()
}

func (m *usedMachine) Close() error {
	err := m.Opened.Close()
	m.unuse()
	return err
}

func (p *Pool) use(key Key, start func() (*helper.Client, error)) *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.running[key]
	if r == nil {
		r = &running{started: make(chan struct{})}
		p.running[key] = r
		go p.start(key, r, start)
	}
	r.users++
	if r.idle != nil {
		r.idle.Stop()
	}
	return r
}

func (p *Pool) start(key Key, r *running, start func() (*helper.Client, error)) {
	r.client, r.err = start()
	close(r.started)
	if r.err == nil {
		p.logStarted(key, r.client)
		<-r.client.Done()
		p.log.Debug("helper ended", "container", key.Container, "account", key.Account)
	}
	p.forget(key, r)
}

// logStarted says which way was found, since it decides how fast things are.
func (p *Pool) logStarted(key Key, client *helper.Client) {
	by, why := hosts.ByDescriptors, []any(nil)
	if cannot := client.WhyStreams(); cannot != nil {
		by, why = hosts.ByStreams, []any{"why", cannot}
	}
	p.log.Info("helper started", append([]any{"container", key.Container, "account", key.Account, "by", by}, why...)...)
}

func (p *Pool) unuse(key Key, r *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.users--
	if r.users == 0 {
		r.idle = time.AfterFunc(p.idle, func() { p.leave(key, r) })
	}
}

// leave ends a helper that is still unused, and makes sure that nobody gets it
// any more before that.
func (p *Pool) leave(key Key, r *running) {
	p.mu.Lock()
	unused := r.users == 0
	if unused && p.running[key] == r {
		delete(p.running, key)
	}
	p.mu.Unlock()
	if unused {
		<-r.started
		if r.client != nil {
			r.client.Close()
		}
	}
}

func (p *Pool) forget(key Key, r *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[key] == r {
		delete(p.running, key)
	}
}

// Close ends every helper. Nobody may open one any more.
func (p *Pool) Close() {
	p.mu.Lock()
	all := make([]*running, 0, len(p.running))
	for _, r := range p.running {
		all = append(all, r)
	}
	p.mu.Unlock()
	for _, r := range all {
		if r.idle != nil {
			r.idle.Stop()
		}
		<-r.started
		if r.client != nil {
			r.client.Close()
		}
	}
}
