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

// counted is a gateway that is counted, if its configuration asks for it.
type counted struct {
	address string
	metrics *metrics.Metrics // nil where it is not asked for
	now     func(context.Context) metrics.Now
}

func newMetrics(settings config.Config) *counted {
	c := &counted{address: settings.Metrics, now: func(context.Context) metrics.Now { return metrics.Now{} }}
	if c.address != "" {
		c.metrics = metrics.New(release.Version(), func(ctx context.Context) metrics.Now { return c.now(ctx) })
	}
	return c
}

// observe is told what happens; nil where nothing is counted.
func (c *counted) observe() func(audit.Event) {
	if c.metrics == nil {
		return nil
	}
	return c.metrics.Observe
}

// serve answers who asks for the metrics of a gateway. It returns nil where nobody
// can; that is no reason to let nobody in.
func (c *counted) serve(front *fronts.Fronts, directory *configured.Hosts, at *place, log *slog.Logger) *scrape.Server {
	if c.metrics == nil {
		return nil
	}
	c.now = func(ctx context.Context) metrics.Now { return whatIs(ctx, front, directory) }
	s, err := c.metrics.Serve(c.address, func() error { return ready(directory, at) }, log)
	if err != nil {
		log.Error("metrics are not served", "address", c.address, "err", err)
		return nil
	}
	log.Info("metrics", "address", c.address)
	return s
}

// whatIs is what a gateway has now.
func whatIs(ctx context.Context, front *fronts.Fronts, directory *configured.Hosts) metrics.Now {
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

// ready says why a login would be of no use now.
func ready(directory *configured.Hosts, at *place) error {
	if at.aside.Load() {
		return errors.New("this gateway lets nobody in any more")
	}
	engines := directory.Engines()
	for _, box := range slices.Sorted(maps.Keys(engines)) {
		if !engines[box] {
			return fmt.Errorf("the engine of box %s does not answer", box)
		}
	}
	return nil
}
