package hosts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"berth/helper"
	"berth/machine"
)

// idleHelper is how long a helper that nobody uses is kept for the next login.
const idleHelper = time.Minute

// helpers are the running helpers: one for each account of a container (or of
// this machine), started by its first connection.
type helpers struct {
	log *slog.Logger

	mu      sync.Mutex
	running map[helperKey]*running
}

type helperKey struct{ container, account string }

type running struct {
	started chan struct{} // closed when client or err is set
	client  *helper.Client
	err     error

	users int // guarded by helpers.mu
	idle  *time.Timer
}

func newHelpers(log *slog.Logger) *helpers {
	return &helpers{log: log, running: map[helperKey]*running{}}
}

// open opens a helper for one connection of a person; start starts one if none
// runs. A start goes on when ctx ends: the next login will want it.
func (h *helpers) open(ctx context.Context, key helperKey, start func() (*helper.Client, error)) (machine.Machine, error) {
	opened, err := h.tryOpen(ctx, key, start)
	if errors.Is(err, errEnded) { // before anyone noticed
		return h.tryOpen(ctx, key, start)
	}
	return opened, err
}

// errEnded is about a helper that was thought to run.
var errEnded = errors.New("the helper has ended")

func (h *helpers) tryOpen(ctx context.Context, key helperKey, start func() (*helper.Client, error)) (machine.Machine, error) {
	r := h.use(key, start)
	select {
	case <-r.started:
	case <-ctx.Done():
		h.unuse(key, r)
		return nil, ctx.Err()
	}
	if r.err != nil {
		h.unuse(key, r)
		return nil, r.err
	}
	opened, err := r.client.Machine()
	if err != nil {
		h.forget(key, r)
		h.unuse(key, r)
		return nil, fmt.Errorf("%w: %w", errEnded, err)
	}
	return &usedMachine{opened, sync.OnceFunc(func() { h.unuse(key, r) })}, nil
}

// usedMachine keeps its helper from leaving.
type usedMachine struct {
	machine.Machine
	unuse func()
}

func (m *usedMachine) Close() error {
	err := m.Machine.Close()
	m.unuse()
	return err
}

func (h *helpers) use(key helperKey, start func() (*helper.Client, error)) *running {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.running[key]
	if r == nil {
		r = &running{started: make(chan struct{})}
		h.running[key] = r
		go h.start(key, r, start)
	}
	r.users++
	if r.idle != nil {
		r.idle.Stop()
	}
	return r
}

func (h *helpers) start(key helperKey, r *running, start func() (*helper.Client, error)) {
	r.client, r.err = start()
	close(r.started)
	if r.err == nil {
		h.logStarted(key, r.client)
		<-r.client.Done()
		h.log.Debug("helper ended", "container", key.container, "account", key.account)
	}
	h.forget(key, r)
}

// logStarted says which way was found, since it decides how fast things are.
func (h *helpers) logStarted(key helperKey, client *helper.Client) {
	by, why := ByDescriptors, []any(nil)
	if cannot := client.WhyStreams(); cannot != nil {
		by, why = ByStreams, []any{"why", cannot}
	}
	h.log.Info("helper started", append([]any{"container", key.container, "account", key.account, "by", by}, why...)...)
}

func (h *helpers) unuse(key helperKey, r *running) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.users--
	if r.users == 0 {
		r.idle = time.AfterFunc(idleHelper, func() { h.leave(key, r) })
	}
}

// leave ends a helper that is still unused, and makes sure that nobody gets it
// any more before that.
func (h *helpers) leave(key helperKey, r *running) {
	h.mu.Lock()
	unused := r.users == 0
	if unused && h.running[key] == r {
		delete(h.running, key)
	}
	h.mu.Unlock()
	if unused {
		<-r.started
		if r.client != nil {
			r.client.Close()
		}
	}
}

func (h *helpers) forget(key helperKey, r *running) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[key] == r {
		delete(h.running, key)
	}
}

// close ends every helper.
func (h *helpers) close() {
	h.mu.Lock()
	all := make([]*running, 0, len(h.running))
	for _, r := range h.running {
		all = append(all, r)
	}
	h.mu.Unlock()
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
