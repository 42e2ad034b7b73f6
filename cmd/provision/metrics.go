package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/metrics"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/release"
	"github.com/berth-ssh/berth/scrape"
	"github.com/berth-ssh/berth/state"
)

// enginePatience is how long an engine may take to describe its box.
const enginePatience = 30 * time.Second

func metricsCommand(o *options) *cobra.Command {
	var listen string
	var every time.Duration
	command := &cobra.Command{
		Use:   "metrics",
		Short: "Answer Prometheus: GPUs held and used, reservations, hosts by state",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveMetrics(cmd.Context(), onBox{*o}, listen, every)
		},
	}
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:9223", "`address` of this machine alone: host:port or unix:PATH")
	command.Flags().DurationVar(&every, "every", 30*time.Second, "after how much `time` the engine and the driver are asked again")
	return command
}

// serveMetrics answers scrapes until ctx ends.
func serveMetrics(ctx context.Context, b onBox, listen string, every time.Duration) error {
	switch {
	case !scrape.IsHere(listen):
		return fmt.Errorf("--listen must be an address of this machine alone, such as 127.0.0.1:9223 or unix:/run/berth-box.sock; it is %q", listen)
	case every < time.Second:
		return fmt.Errorf("--every must be a second or more; it is %v", every)
	}
	st, err := state.Open(b.state)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	watch := metrics.NewWatch(ctx, every, func(ctx context.Context) (metrics.Seen, error) { return b.see(ctx, st, enginePatience) })
	ready := func() error {
		patient, cancel := context.WithTimeout(ctx, scrape.Patience)
		defer cancel()
		return watch.Ready(patient)
	}
	server, err := scrape.Serve(listen, metrics.Registry(release.Version(), watch), ready, log)
	if err != nil {
		return err
	}
	defer server.Close()
	log.Info("metrics", "address", listen)
	<-ctx.Done()
	return nil
}

// see looks at the box. On this machine it sees the GPUs even if the engine does not
// answer within patience.
func (b onBox) see(ctx context.Context, st *state.State, patience time.Duration) (metrics.Seen, error) {
	if !b.engineIsHere() {
		return b.seeBy(ctx, st, apply.ObserveBox)
	}
	here := box.Read(ctx, box.Engine{})
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen, err := b.seeBy(limited, st, func(ctx context.Context, api *client.Client) (_ box.Box, err error) {
		here.Engine, err = apply.ObserveEngine(ctx, api)
		return here, err
	})
	if err == nil {
		return seen, nil
	}
	if limited.Err() != nil {
		err = fmt.Errorf("the Docker engine does not answer in %v", patience)
	}
	return metrics.SeeGPUs(here, err), nil
}

// seeBy asks the engine; read looks at the engine's box.
func (b onBox) seeBy(ctx context.Context, st *state.State, read func(context.Context, *client.Client) (box.Box, error)) (metrics.Seen, error) {
	engine, err := b.engine(ctx)
	if err != nil {
		return metrics.Seen{}, err
	}
	defer engine.Close()
	seen, err := read(ctx, engine.Client)
	if err != nil {
		return metrics.Seen{}, err
	}
	all, err := apply.ObserveContainers(ctx, engine.Client, seen)
	if err != nil {
		return metrics.Seen{}, err
	}
	marks, err := marksOf(st, plan.Observed{Box: seen, Containers: all})
	if err != nil {
		return metrics.Seen{}, err
	}
	return metrics.See(seen, marks.Judge(all)), nil
}
