// Package reload changes who may enter what while the gateway runs.
//
// A [Reloader] reads and checks the whole configuration again, and either puts it
// into force at once or leaves everything as it was and says why. It does so by
// [Reloader.Reload], after a signal, and when the files have changed. People who have
// lost a grant are told so and cut off; nobody else notices.
package reload

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
)

// Reloader puts configurations into force, one after the other.
type Reloader struct {
	path    string
	apply   func(config.Config)
	replace ReplacePolicy
	log     *slog.Logger

	mu      sync.Mutex
	started config.Config // what the gateway was started with

	named atomic.Pointer[[]string] // files that the configuration names which was read last
}

// ReplacePolicy puts a policy into force, on somebody's behalf, and returns how many
// connections were ended by it.
type ReplacePolicy func(policy *auth.Policy, by string) (ended int)

// New makes a reloader of the file at path, for a gateway that was started with
// what was in it. apply takes what else is needed of a configuration than its policy:
// its hosts, and where keys are fetched from.
func New(path string, started config.Config, replace ReplacePolicy, apply func(config.Config), log *slog.Logger) *Reloader {
	r := &Reloader{path: path, replace: replace, apply: apply, log: log, started: started}
	r.named.Store(&started.Files)
	return r
}

// Report is the result of a reload.
type Report struct {
	Users        int      `json:"users"`
	Ended        int      `json:"ended"`                   // connections of those who lost a grant
	NeedsRestart []string `json:"needs_restart,omitempty"` // keys that have changed and take effect at the next start
	Warnings     []string `json:"warnings,omitempty"`
}

// Reload reads and checks all files, and puts them into force together. On an
// error nothing has changed. By says on whose behalf, for the log.
func (r *Reloader) Reload(by string) (Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := config.Load(r.path)
	r.named.Store(&next.Files)
	if err != nil {
		r.log.Error("not reloaded; what was in force stays so", "by", by, "err", err)
		return Report{}, err
	}
	report := Report{Users: len(next.Users), NeedsRestart: r.started.NeedsRestart(next)}
	for _, warning := range next.Warnings {
		report.Warnings = append(report.Warnings, warning.Error())
	}
	r.apply(next)
	report.Ended = r.replace(next.Policy, by)
	r.log.Info("reloaded", "by", by, "users", report.Users, "ended", report.Ended)
	for _, key := range report.NeedsRestart {
		r.log.Warn("a key has changed that takes effect when the gateway is restarted", "key", key)
	}
	return report, nil
}

// Run reloads at every signal, and when the files have changed, until ctx ends.
func (r *Reloader) Run(ctx context.Context, signals <-chan os.Signal) {
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		config.Watch(ctx, r.path, func() []string { return *r.named.Load() }, func() { r.Reload("watch") }, r.warnHalfWritten)
	}()
	defer func() { <-watched }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			r.Reload("signal")
		}
	}
}

func (r *Reloader) warnHalfWritten(path string) {
	r.log.Warn("not reloaded: the last line has no end, as of a file that is half written; end it, or run: gateway reload", "file", path)
}
