package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-ssh/berth/scrape"
)

// gauges are what is asked for when somebody looks.
type gauges struct {
	of      *Metrics
	now     func(context.Context) Now
	version string

	info, connections, sessions, forwards, bytes, hosts, engine *prometheus.Desc
}

func newGauges(version string, of *Metrics, now func(context.Context) Now) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &gauges{
		of: of, now: now, version: version,
		info:        desc("berth_build_info", "Which version runs.", "version"),
		connections: desc("berth_connections", "Connections of people who are logged in."),
		sessions:    desc("berth_sessions", "Sessions that are open."),
		forwards:    desc("berth_forwards", "Connections through forwards that are open."),
		bytes:       desc("berth_bytes_total", "Bytes on the wire of connections that have entered a host, from clients (up) and to them (down).", "direction"),
		hosts:       desc("berth_hosts", "Hosts, by their route and state.", "route", "state"),
		engine:      desc("berth_engine_up", "Whether the engine of a box answers.", "box"),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{g.info, g.connections, g.sessions, g.forwards, g.bytes, g.hosts, g.engine} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrape.Patience)
	defer cancel()
	now := g.now(ctx)
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(g.info, 1, g.version)
	gauge(g.connections, float64(now.Connections))
	gauge(g.sessions, float64(now.Sessions))
	gauge(g.forwards, float64(now.Forwards))
	total := g.of.total(now)
	to <- prometheus.MustNewConstMetric(g.bytes, prometheus.CounterValue, float64(total.up), "up")
	to <- prometheus.MustNewConstMetric(g.bytes, prometheus.CounterValue, float64(total.down), "down")
	for kind, count := range now.Hosts {
		gauge(g.hosts, float64(count), kind.Route, kind.State)
	}
	for box, up := range now.Engines {
		value := 0.0
		if up {
			value = 1
		}
		gauge(g.engine, value, box)
	}
}
