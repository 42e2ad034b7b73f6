// Package metrics counts what a gateway does, for Prometheus, and says whether it is
// well.
//
// What has happened is counted by the events of package audit, so that both always
// agree; what is now is asked for when somebody looks ([Now]). docs/metrics.md has
// the names. Labels have few values: no person, host or address is one.
package metrics

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/scrape"
)

// Now is what a gateway has at one moment.
type Now struct {
	Connections, Sessions, Forwards int64
	Up, Down                        uint64          // bytes of the connections that have entered a host and not left
	Hosts                           map[Host]int    // how many of each kind
	Engines                         map[string]bool // whether each answers, by its box
}

// Host is a kind of hosts.
type Host struct{ Route, State string }

// The states of a host.
const (
	Up         = "up"
	Restarting = "restarting" // or being recreated
)

// Metrics are those of one gateway.
type Metrics struct {
	registry *prometheus.Registry

	logins   *prometheus.CounterVec
	sessions *prometheus.CounterVec
	forwards prometheus.Counter
	exchange prometheus.Histogram
	reach    *prometheus.HistogramVec

	mu       sync.Mutex
	left     bytes // of connections that are over
	reported bytes // a counter never falls
}

type bytes struct{ up, down uint64 }

// New makes the metrics of a gateway of this version. Now is called whenever somebody
// looks, until ctx ends, and must return soon.
func New(version string, now func(context.Context) Now) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_logins_total",
			Help: "Logins: ok, refused (logged in, but let into no host), or failed (one attempt), by the method of the last step.",
		}, []string{"outcome", "method"}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_sessions_total", Help: "Sessions that were started: shell, exec or subsystem.",
		}, []string{"kind"}),
		forwards: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "berth_forwards_total", Help: "Connections into hosts that were asked for through forwards.",
		}),
		exchange: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "berth_key_exchange_seconds", Help: "From the connection until keys were exchanged, of clients that logged in.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 13),
		}),
		reach: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "berth_reach_seconds", Help: "From the login until the host was reached.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 15),
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.logins, m.sessions, m.forwards, m.exchange, m.reach, newGauges(version, m, now),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe counts an event.
func (m *Metrics) Observe(event audit.Event) {
	switch e := event.(type) {
	case audit.LoginTried:
		m.logins.WithLabelValues("failed", known(e.Method)).Inc()
	case audit.LoggedIn:
		m.logins.WithLabelValues("ok", known(lastMethod(e.Steps))).Inc()
		m.exchange.Observe(e.Exchange)
	case audit.Refused:
		m.logins.WithLabelValues("refused", "").Inc()
	case audit.Entered:
		m.reach.WithLabelValues(oneOf(e.Route, "exec", "sshd", "local")).Observe(e.Seconds)
	case audit.Session:
		m.sessions.WithLabelValues(oneOf(e.Kind, "shell", "exec", "subsystem")).Inc()
	case audit.Forward:
		m.forwards.Inc()
	case audit.Left:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.left.up += e.Up
		m.left.down += e.Down
	}
}

// known is a method that is a label: a client may name any.
func known(method string) string {
	return oneOf(method, "publickey", "password", "keyboard-interactive", "code")
}

// oneOf is a value that is a label. A front that was taken over may name any, and each
// other one would be kept for good.
func oneOf(value string, known ...string) string {
	if slices.Contains(known, value) {
		return value
	}
	return "other"
}

func lastMethod(steps []audit.Step) string {
	if len(steps) == 0 {
		return ""
	}
	return steps[len(steps)-1].Method
}

// total is all bytes until now. A connection that is leaving may count twice for a
// moment, so what was said before is the least.
func (m *Metrics) total(now Now) bytes {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reported.up = max(m.reported.up, m.left.up+now.Up)
	m.reported.down = max(m.reported.down, m.left.down+now.Down)
	return m.reported
}

// Serve answers at an address until the server is closed (see [scrape.Serve]).
func (m *Metrics) Serve(address string, ready func() error, log *slog.Logger) (*scrape.Server, error) {
	return scrape.Serve(address, m.registry, ready, log)
}
