package docker

import (
	"cmp"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/pool"
	"github.com/berth-ssh/berth/state"
)

// callTimeout bounds one call to the engine.
const callTimeout = 10 * time.Second

// Source is the containers of an engine that are hosts.
type Source struct {
	engine  *docker.Engine
	state   *state.State
	log     *slog.Logger
	box     string                                 // that the engine is of; "": it is this machine's own, or the only one
	seen    func()                                 // called when hosts may have come or gone; may be nil
	named   atomic.Pointer[map[string]hosts.Entry] // by the host's name
	known   *known
	images  map[string]map[string]string  // labels of images, by id; only Run uses it
	silence atomic.Pointer[hosts.Silence] // nil while the engine answers, and before it was asked
	trusts  trusts
	telling sync.WaitGroup // goroutines besides Run that tell containers of user CAs

	renamed chan struct{} // gets one item when the entries have changed

	helpers  *pool.Pool
	self     helperBinary
	meetings *helper.Meetings // nil if no socket can be created

	synced     chan struct{} // closed when the engine has been asked for the first time
	syncedOnce sync.Once
}

// Options say which engine is used, and for what.
type Options struct {
	Engine  docker.Address
	Box     string // the box of this engine, if there are several engines
	Entries []hosts.Entry
	Seen    func() // called when hosts may have come or gone, if it is not nil
	State   *state.State
	Log     *slog.Logger
}

// New returns a source of an engine's containers: those with labels, and those in
// entries, which take precedence. It does not wait for the engine.
func New(o Options) (*Source, error) {
	engine, err := docker.Connect(o.Engine)
	if err != nil {
		return nil, err
	}
	log := o.Log
	if o.Box != "" {
		log = log.With("box", o.Box)
	}
	self, meetings, err := meetingsOf(engine, o.State, log)
	if err != nil {
		engine.Close()
		return nil, err
	}
	s := &Source{
		engine:   engine,
		state:    o.State,
		log:      log,
		box:      o.Box,
		seen:     o.Seen,
		renamed:  make(chan struct{}, 1),
		known:    newKnown(),
		images:   make(map[string]map[string]string),
		helpers:  pool.New(idleOf(engine), log),
		self:     self,
		meetings: meetings,
		synced:   make(chan struct{}),
	}
	s.named.Store(s.withContainers(o.Entries))
	return s, nil
}

func idleOf(engine *docker.Engine) time.Duration {
	if docker.IsLocal(engine.Client) {
		return pool.Idle
	}
	return pool.IdleElsewhere
}

// meetingsOf puts this program where containers of this machine can run it, and
// listens there for the helpers.
func meetingsOf(engine *docker.Engine, st *state.State, log *slog.Logger) (helperBinary, *helper.Meetings, error) {
	if !docker.IsLocal(engine.Client) {
		name, err := hashOf(helper.SelfPath)
		return helperBinary{name: name}, nil, err
	}
	self, err := deliverToMounts(st.Dir())
	if err != nil {
		return helperBinary{}, nil, err
	}
	meetings, err := helper.NewMeetings(filepath.Dir(self.path))
	if err != nil {
		log.Warn("no socket for helpers in mounted containers", "err", err)
	}
	return self, meetings, nil
}

// withContainers returns the entries for containers of this engine.
func (s *Source) withContainers(entries []hosts.Entry) *map[string]hosts.Entry {
	byName := map[string]hosts.Entry{}
	for _, entry := range entries {
		box := cmp.Or(entry.Box, hosts.LocalBox)
		if entry.Container != "" && (s.box == "" || box == s.box) {
			byName[entry.Name] = entry
		}
	}
	return &byName
}

// Replace replaces the entries, and has the engine asked for new ones. Connections to
// former ones go on.
func (s *Source) Replace(entries []hosts.Entry) {
	next := s.withContainers(entries)
	if maps.Equal(*s.named.Swap(next), *next) {
		return
	}
	select {
	case s.renamed <- struct{}{}:
	default:
	}
}

// Box returns the box of the engine; "" if there is only one.
func (s *Source) Box() string { return s.box }

func (s *Source) entries() map[string]hosts.Entry { return *s.named.Load() }

// Close ends the helpers, and so all machines.
func (s *Source) Close() {
	if s.meetings != nil {
		s.meetings.Close()
	}
	s.helpers.Close()
	s.engine.Close()
}
