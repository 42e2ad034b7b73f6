package serving

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Signals says how a gateway handles the signals that it gets.
type Signals struct {
	Log      *slog.Logger
	Patience time.Duration // how long the process may take to end by itself
	Exit     func()        // ends the process at once
	Reload   func()        // reads the configuration again
}

// Handle returns a context that ends with the first SIGTERM or SIGINT. With a second
// one, or after Patience, it calls Exit. SIGHUP calls Reload. SIGPIPE, which comes when
// the log's reader is gone, is ignored. stop ends the handling.
func (s Signals) Handle(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	stopped := make(chan struct{})
	go s.handle(got, stopped, cancel)
	return ctx, func() {
		signal.Stop(got)
		close(stopped)
		cancel()
	}
}

func (s Signals) handle(got <-chan os.Signal, stopped <-chan struct{}, cancel func()) {
	var late <-chan time.Time // nil until the first SIGTERM or SIGINT
	for {
		select {
		case <-stopped:
			return
		case <-late:
			s.Log.Error("not everything has ended in time: ends at once", "patience", s.Patience)
			s.Exit()
		case signal := <-got:
			switch {
			case signal == syscall.SIGPIPE:
			case signal == syscall.SIGHUP:
				s.Reload()
			case late == nil:
				s.Log.Info("stopping", "signal", signal.String())
				late = time.After(s.Patience)
				cancel()
			default:
				s.Log.Warn("ends at once", "signal", signal.String())
				s.Exit()
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
