package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signals is how serve answers those that it gets.
type signals struct {
	log      *slog.Logger
	patience time.Duration // how long the process may take to end by itself
	exit     func()        // ends it at once
	reload   func()        // has the configuration read again
}

// heed returns a context that ends with the first SIGTERM or SIGINT. With a
// second one, or after the patience, the process is ended at once. SIGHUP ends
// nothing, and neither does SIGPIPE, which comes when the log's reader is gone.
// stop gives the signals back.
func (s signals) heed(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	stopped := make(chan struct{})
	go s.answer(got, stopped, cancel)
	return ctx, func() {
		signal.Stop(got)
		close(stopped)
		cancel()
	}
}

func (s signals) answer(got <-chan os.Signal, stopped <-chan struct{}, cancel func()) {
	var late <-chan time.Time // nil until the first SIGTERM or SIGINT
	for {
		select {
		case <-stopped:
			return
		case <-late:
			s.log.Error("not everything has ended in time: ends at once", "patience", s.patience)
			s.exit()
		case signal := <-got:
			switch {
			case signal == syscall.SIGPIPE:
			case signal == syscall.SIGHUP:
				s.reload()
			case late == nil:
				s.log.Info("stopping", "signal", signal.String())
				late = time.After(s.patience)
				cancel()
			default:
				s.log.Warn("ends at once", "signal", signal.String())
				s.exit()
			}
		}
	}
}

// onSignal calls f for each such signal, until stop is called.
func onSignal(wanted os.Signal, f func()) (stop func()) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, wanted)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range got {
			f()
		}
	}()
	return func() {
		signal.Stop(got)
		close(got)
		<-ended
	}
}
