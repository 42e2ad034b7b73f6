package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/fronts"
	"github.com/berth-ssh/berth/hosts/configured"
	"github.com/berth-ssh/berth/metrics"
	"github.com/berth-ssh/berth/release"
	"github.com/berth-ssh/berth/scrape"
)

// counters are what a gateway counts for Prometheus, if its configuration asks for that.
type counters struct {
	address string
	metrics *metrics.Metrics // nil where it does not
	now     func(context.Context) metrics.Now
}

func newCounters(settings config.Config) *counters {
	c := &counters{address: settings.Metrics, now: func(context.Context) metrics.Now { return metrics.Now{} }}
	if c.address != "" {
		c.metrics = metrics.New(release.Version(), func(ctx context.Context) metrics.Now { return c.now(ctx) })
	}
	return c
}

// observe returns what is called with each event; nil where nothing is counted.
func (c *counters) observe() func(audit.Event) {
	if c.metrics == nil {
		return nil
	}
	return c.metrics.Observe
}

// serve serves the metrics. It returns nil where they are not wanted, or cannot be
// served: that is logged, and does not stop the gateway.
func (c *counters) serve(front *fronts.Fronts, directory *configured.Hosts, e *endpoints, log *slog.Logger) *scrape.Server {
	if c.metrics == nil {
		return nil
	}
	c.now = func(ctx context.Context) metrics.Now { return snapshot(ctx, front, directory) }
	s, err := c.metrics.Serve(c.address, func() error { return ready(directory, e) }, log)
	if err != nil {
		log.Error("metrics are not served", "address", c.address, "err", err)
		return nil
	}
	log.Info("metrics", "address", c.address)
	return s
}

// snapshot is what a gateway serves now.
func snapshot(ctx context.Context, front *fronts.Fronts, directory *configured.Hosts) metrics.Now {
	n := metrics.Now{Hosts: map[metrics.Host]int{}, Engines: directory.Engines()}
	for _, live := range front.Live() {
		n.Connections++
		n.Sessions += live.Sessions
		n.Forwards += live.Forwards
		if live.Host != "" {
			n.Up += live.Up
			n.Down += live.Down
		}
	}
	for _, host := range directory.List(ctx) {
		kind := metrics.Host{Route: host.Route, State: metrics.Up}
		if directory.ComingBack(host.Name) {
			kind.State = metrics.Restarting
		}
		n.Hosts[kind]++
	}
	return n
}

// ready returns why a login could enter no host now; nil if it could.
func ready(directory *configured.Hosts, e *endpoints) error {
	if e.aside.Load() {
		return errors.New("this gateway accepts no new connections")
	}
	engines := directory.Engines()
	for _, box := range slices.Sorted(maps.Keys(engines)) {
		if !engines[box] {
			return fmt.Errorf("the engine of box %s does not answer", box)
		}
	}
	return nil
}
