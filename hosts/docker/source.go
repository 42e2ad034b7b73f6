package docker

import (
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"berth/docker"
	"berth/helper"
	"berth/hosts"
	"berth/hosts/pool"
	"berth/state"

	"github.com/moby/moby/client"
)

// callTimeout bounds one call to the engine.
const callTimeout = 10 * time.Second

// Source is the containers of an engine that are hosts.
type Source struct {
	engine *client.Client
	state  *state.State
	log    *slog.Logger
	named  atomic.Pointer[map[string]hosts.Entry] // by the host's name
	known  *known
	images map[string]map[string]string // Berth's labels on images, by id; Run's alone

	renamed chan struct{} // has one item when other entries have come

	helpers  *pool.Pool
	self     helperBinary
	meetings *helper.Meetings // nil where no socket can be made

	synced     chan struct{} // closed when the engine was asked for the first time
	syncedOnce sync.Once
}

// New makes a source of an engine's containers: those with labels, and those that
// entries name, which go first. It does not wait for the engine.
func New(address string, st *state.State, entries []hosts.Entry, log *slog.Logger) (*Source, error) {
	engine, err := docker.Connect(address)
	if err != nil {
		return nil, err
	}
	self, err := deliverToMounts(st.Dir())
	if err != nil {
		engine.Close()
		return nil, err
	}
	meetings, err := helper.NewMeetings(filepath.Dir(self.path))
	if err != nil {
		log.Warn("no socket for helpers in mounted containers", "err", err)
	}
	s := &Source{
		engine:   engine,
		state:    st,
		log:      log,
		renamed:  make(chan struct{}, 1),
		known:    newKnown(),
		images:   make(map[string]map[string]string),
		helpers:  pool.New(log),
		self:     self,
		meetings: meetings,
		synced:   make(chan struct{}),
	}
	s.named.Store(withContainers(entries))
	return s, nil
}

func withContainers(entries []hosts.Entry) *map[string]hosts.Entry {
	byName := map[string]hosts.Entry{}
	for _, entry := range entries {
		if entry.Container != "" {
			byName[entry.Name] = entry
		}
	}
	return &byName
}

// Exchange replaces the entries, and has the engine asked for those that are
// new. Who entered by a former one goes on.
func (s *Source) Exchange(entries []hosts.Entry) {
	next := withContainers(entries)
	if maps.Equal(*s.named.Swap(next), *next) {
		return
	}
	select {
	case s.renamed <- struct{}{}:
	default:
	}
}

func (s *Source) entries() map[string]hosts.Entry { return *s.named.Load() }

// Close ends the helpers, and with them all machines.
func (s *Source) Close() {
	if s.meetings != nil {
		s.meetings.Close()
	}
	s.helpers.Close()
	s.engine.Close()
}
