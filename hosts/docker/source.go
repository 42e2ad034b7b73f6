package docker

import (
	"log/slog"
	"path/filepath"
	"sync"
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
	named  map[string]hosts.Entry // by the host's name
	known  *known

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
		named:    map[string]hosts.Entry{},
		known:    newKnown(),
		helpers:  pool.New(log),
		self:     self,
		meetings: meetings,
		synced:   make(chan struct{}),
	}
	for _, entry := range entries {
		if entry.Container != "" {
			s.named[entry.Name] = entry
		}
	}
	return s, nil
}

// Close ends the helpers, and with them all machines.
func (s *Source) Close() {
	if s.meetings != nil {
		s.meetings.Close()
	}
	s.helpers.Close()
	s.engine.Close()
}
