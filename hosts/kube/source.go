package kube

import (
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/pool"
	"github.com/berth-ssh/berth/state"
)

// callTimeout bounds one call to the API server.
const callTimeout = 10 * time.Second

// Source is the pods of a cluster that are hosts.
type Source struct {
	cluster    string
	api        api
	namespaces []string
	names      string // the pattern of people's names in the cluster; see [hosts.Cluster]
	state      *state.State
	log        *slog.Logger
	seen       func() // called when hosts may have come or gone
	known      *known
	helpers    *pool.Pool

	synced chan struct{} // closed when each namespace has been asked for the first time
	asked  sync.WaitGroup
}

// Options are what a source is made of.
type Options struct {
	Cluster hosts.Cluster
	State   *state.State
	Seen    func() // called when hosts may have come or gone; it must not wait
	Log     *slog.Logger
}

// New returns a source of a cluster's pods. It does not wait for the cluster.
func New(o Options) (*Source, error) {
	klog.SetLogger(logr.Discard()) // the client would log to standard error; what is useful is logged here
	api, namespaces, err := connect(o.Cluster)
	if err != nil {
		return nil, err
	}
	return &Source{
		cluster:    o.Cluster.Name,
		api:        api,
		namespaces: namespaces,
		names:      o.Cluster.Impersonate,
		state:      o.State,
		log:        o.Log.With("cluster", o.Cluster.Name),
		seen:       o.Seen,
		known:      newKnown(),
		helpers:    pool.New(pool.IdleElsewhere, o.Log),
		synced:     make(chan struct{}),
	}, nil
}

// Close ends the helpers, and so all machines.
func (s *Source) Close() {
	s.known.close()
	s.helpers.Close()
}
