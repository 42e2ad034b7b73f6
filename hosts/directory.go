package hosts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"berth/helper"
	"berth/labels"
	"berth/state"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

const (
	resyncEvery = 5 * time.Minute  // against events that were lost
	callTimeout = 10 * time.Second // of one call to the engine
	maxBackoff  = 10 * time.Second
)

// Directory is the hosts there are. Run keeps it current.
type Directory struct {
	engine  *client.Client
	state   *state.State
	entries map[string]*Entry
	log     *slog.Logger
	helpers *helpers
	self    helperBinary

	meetings *helper.Meetings // nil where no socket can be made

	synced     chan struct{} // closed when the engine was asked for the first time
	syncedOnce sync.Once

	mu         sync.Mutex
	containers map[string]labelled  // by id
	left       map[string]time.Time // by host: when its container went
	following  bool                 // the engine answers
}

// labelled is a container that its labels make a host.
type labelled struct {
	id, name string
	host     string
	route    string
	account  string
	running  bool
}

// NewDirectory makes a directory of an engine's labelled containers and of
// the configuration's entries, which go first.
func NewDirectory(engine *client.Client, st *state.State, entries []Entry, log *slog.Logger) (*Directory, error) {
	self, err := deliverToMounts(st.Dir())
	if err != nil {
		return nil, err
	}
	meetings, err := helper.NewMeetings(filepath.Dir(self.path))
	if err != nil {
		log.Warn("no socket for helpers in mounted containers", "err", err)
	}
	d := &Directory{
		engine:     engine,
		meetings:   meetings,
		state:      st,
		entries:    map[string]*Entry{},
		log:        log,
		helpers:    newHelpers(log),
		self:       self,
		synced:     make(chan struct{}),
		containers: map[string]labelled{},
		left:       map[string]time.Time{},
	}
	for _, entry := range entries {
		d.entries[entry.Name] = &entry
	}
	return d, nil
}

// Close ends the helpers and with them all machines.
func (d *Directory) Close() {
	if d.meetings != nil {
		d.meetings.Close()
	}
	d.helpers.close()
}

// Run follows the engine until ctx ends. An engine that does not answer is
// tried again and again: hosts that do not need it can be entered meanwhile.
func (d *Directory) Run(ctx context.Context) {
	const minBackoff = time.Second / 2
	backoff, warned := minBackoff, false
	for {
		err := d.follow(ctx, func() {
			if warned {
				d.log.Info("engine answers again")
			}
			backoff, warned = minBackoff, false
		})
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errResync):
			continue
		case !warned:
			d.log.Warn("engine does not answer; hosts in containers cannot be entered until it does", "err", err)
			warned = true
		}
		d.setFollowing(false)
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// setFollowing lets go those who wait for the first answer, whatever it was.
func (d *Directory) setFollowing(following bool) {
	d.mu.Lock()
	d.following = following
	d.mu.Unlock()
	d.syncedOnce.Do(func() { close(d.synced) })
}

// errResync ends a follow because its time is over.
var errResync = errors.New("time to ask again")

// follow subscribes first and lists then, so that nothing happens unseen in
// between, and applies events until one of both fails.
func (d *Directory) follow(ctx context.Context, answered func()) error {
	ctx, cancel := context.WithTimeoutCause(ctx, resyncEvery, errResync)
	defer cancel()
	filters := make(client.Filters).Add("type", "container").Add("label", labels.Host)
	stream := d.engine.Events(ctx, client.EventsListOptions{Filters: filters})
	if err := d.sync(ctx); err != nil {
		return err
	}
	answered()
	d.setFollowing(true)
	for {
		select {
		case event := <-stream.Messages:
			d.apply(ctx, event)
		case err := <-stream.Err:
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
}

func (d *Directory) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := d.engine.ContainerList(ctx, client.ContainerListOptions{
		All:     true,
		Filters: make(client.Filters).Add("label", labels.Host),
	})
	if err != nil {
		return err
	}
	found := map[string]labelled{}
	for _, item := range list.Items {
		name := item.ID
		if len(item.Names) > 0 {
			name = item.Names[0]
		}
		found[item.ID] = newLabelled(item.ID, name, item.Labels, item.State == container.StateRunning)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.containers = found
	return nil
}

func newLabelled(id, name string, on map[string]string, running bool) labelled {
	l := labelled{
		id:      id,
		name:    strings.TrimPrefix(name, "/"),
		host:    on[labels.Host],
		route:   on[labels.Route],
		account: on[labels.Account],
		running: running,
	}
	if l.route == "" {
		l.route = labels.RouteExec
	}
	return l
}

// apply looks at the container an event is about; what it is now counts, not
// what the event says.
func (d *Directory) apply(ctx context.Context, event events.Message) {
	id := event.Actor.ID
	if event.Action == events.ActionDestroy {
		d.forget(id)
		if err := d.state.ForgetHostKeys(id); err != nil {
			d.log.Warn("pinned host keys not removed", "container", id, "err", err)
		}
		return
	}
	if strings.HasPrefix(string(event.Action), "exec_") {
		return
	}
	found, err := d.inspect(ctx, id)
	if err != nil {
		d.forget(id)
		return
	}
	d.remember(newLabelled(found.ID, found.Name, found.Config.Labels, found.State.Running))
}

func (d *Directory) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if was, known := d.containers[id]; known {
		d.left[was.host] = time.Now()
	}
	delete(d.containers, id)
}

func (d *Directory) remember(c labelled) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.containers[c.id] = c
}

// ComingBack says whether a host is likely to be restarting or being made
// anew. It asks the engine, which knows it before its events tell.
func (d *Directory) ComingBack(ctx context.Context, name string) bool {
	if entry := d.entries[name]; entry != nil {
		return entry.Container != "" && d.isRestarting(ctx, entry.Container)
	}
	if claims, _ := d.claims(name); len(claims) > 0 {
		return d.isRestarting(ctx, claims[0].id)
	}
	return d.wasLeft(name)
}

func (d *Directory) isRestarting(ctx context.Context, id string) bool {
	found, err := d.inspect(ctx, id)
	return err == nil && (found.State.Restarting || !found.State.Running && isRecent(found.State.FinishedAt))
}

// wasLeft says whether a host's container went a moment ago.
func (d *Directory) wasLeft(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(d.left[name]) < comingBack
}

func (d *Directory) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := d.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return container.InspectResponse{}, err
	}
	if result.Container.State == nil || result.Container.Config == nil {
		return container.InspectResponse{}, errors.New("the engine tells too little about the container")
	}
	return result.Container, nil
}

// Lookup finds a host by its name. Errors are *[Unreachable].
func (d *Directory) Lookup(ctx context.Context, name string) (Host, error) {
	select {
	case <-d.synced:
	case <-ctx.Done():
		return Host{}, unreachable(name, "cannot be looked up: the engine does not answer", ctx.Err())
	}
	if entry := d.entries[name]; entry != nil {
		return d.lookupEntry(ctx, entry)
	}
	claims, following := d.claims(name)
	switch {
	case len(claims) == 0 && !following:
		return Host{}, unreachable(name, "cannot be looked up: the engine does not answer", nil)
	case len(claims) == 0 && d.wasLeft(name):
		return Host{}, soon(unreachable(name, "is gone: its container was removed a moment ago", nil), comingBack)
	case len(claims) == 0:
		return Host{}, soon(unreachable(name, "does not exist: no container carries its label", nil), justMade)
	case len(claims) > 1 && claims[1].running:
		names := fmt.Sprintf("%s and %s", claims[0].name, claims[1].name)
		return Host{}, unreachable(name, "is ambiguous: containers "+names+" both carry its label", nil)
	}
	c := claims[0]
	return Host{Name: name, Route: c.route, Account: c.account, Container: c.id}, nil
}

// claims are the containers labelled with a name, running ones first, as far
// as is known: following is false where the engine does not answer.
func (d *Directory) claims(name string) (claims []labelled, following bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.containers {
		if c.host == name {
			claims = append(claims, c)
		}
	}
	slices.SortFunc(claims, func(a, b labelled) int {
		if a.running != b.running {
			if a.running {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return claims, d.following
}

func (d *Directory) lookupEntry(ctx context.Context, entry *Entry) (Host, error) {
	host := Host{Name: entry.Name, Route: entry.Route, Account: entry.Account, entry: entry}
	if entry.Container == "" {
		return host, nil
	}
	found, err := d.inspect(ctx, entry.Container)
	if errdefs.IsNotFound(err) {
		return Host{}, unreachable(entry.Name, "does not exist: there is no container "+entry.Container, nil)
	}
	if err != nil {
		return Host{}, unreachable(entry.Name, "cannot be looked up: the engine does not answer", err)
	}
	host.Container = found.ID
	return host, nil
}
