package docker

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-ssh/berth/labels"

	"github.com/moby/moby/api/types/container"
)

// comingBack is how long after its end a container counts as restarting, and how long
// after its start as starting up.
const comingBack = 20 * time.Second

// found is a container that is a host.
type found struct {
	id, name string
	host     string // from its label
	route    string
	account  string
	project  string
	labels   map[string]string // without those of its image
	byImage  string            // a host's name in its image's labels, which does not make it a host

	running    bool
	restarting bool      // the engine keeps restarting it
	stopped    time.Time // when it stopped; zero if unknown
}

func newFound(id, name string, on, own map[string]string) found {
	f := found{
		id:      id,
		name:    strings.TrimPrefix(name, "/"),
		host:    own[labels.Host],
		route:   own[labels.Route],
		account: own[labels.Account],
		project: cmp.Or(own[labels.Project], own[labels.ComposeProject]),
		labels:  own,
	}
	if f.host == "" {
		f.byImage = on[labels.Host]
	}
	if f.route == "" {
		f.route = labels.RouteExec
	}
	return f
}

func foundInList(item container.Summary, own map[string]string) found {
	name := item.ID
	if len(item.Names) > 0 {
		name = item.Names[0]
	}
	f := newFound(item.ID, name, item.Labels, own)
	f.running = item.State == container.StateRunning
	f.restarting = item.State == container.StateRestarting
	return f
}

func foundByInspect(in container.InspectResponse, own map[string]string) found {
	f := newFound(in.ID, in.Name, in.Config.Labels, own)
	f.running, f.restarting = in.State.Running, in.State.Restarting
	if !f.running {
		f.stopped, _ = time.Parse(time.RFC3339Nano, in.State.FinishedAt)
	}
	return f
}

// isContainer reports whether an entry names this container: by name, or by an id,
// which may be shortened.
func (f found) isContainer(nameOrID string) bool {
	return f.name == nameOrID || strings.HasPrefix(f.id, nameOrID)
}

// isComingBack reports whether it will probably run again soon.
func (f found) isComingBack() bool {
	return f.restarting || !f.running && time.Since(f.stopped) < comingBack
}

// known is everything that the engine has reported so far.
type known struct {
	mu        sync.Mutex
	labelled  map[string]found     // by id
	named     map[string]found     // those of the configuration, by host
	left      map[string]time.Time // by host: when its container was removed
	following bool                 // the engine answers
}

func newKnown() *known {
	return &known{labelled: map[string]found{}, named: map[string]found{}, left: map[string]time.Time{}}
}

func (k *known) setFollowing(following bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.following = following
}

func (k *known) isFollowing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.following
}

// replaceLabelled replaces all containers with labels by those of a list, which does
// not say when one stopped.
func (k *known) replaceLabelled(list []found) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.labelled
	k.labelled = map[string]found{}
	for _, f := range list {
		if was, ok := before[f.id]; ok && !f.running {
			f.stopped = was.stopped
			if was.running {
				f.stopped = time.Now()
			}
		}
		k.labelled[f.id] = f
	}
	for host, at := range k.left {
		if time.Since(at) > comingBack {
			delete(k.left, host)
		}
	}
}

func (k *known) remember(f found) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.labelled[f.id] = f
}

// stopped records that a container has stopped, from its event. Its new state is
// asked for afterwards; on a busy machine that takes a while, in which a login would
// think that it runs.
func (k *known) stopped(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, all := range []map[string]found{k.labelled, k.named} {
		for key, f := range all {
			if f.id == id && f.running {
				f.running, f.stopped = false, time.Now()
				all[key] = f
			}
		}
	}
}

func (k *known) forget(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if was, ok := k.labelled[id]; ok {
		k.left[was.host] = time.Now()
	}
	delete(k.labelled, id)
}

func (k *known) rememberNamed(host string, f found) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.named[host] = f
}

func (k *known) forgetNamed(host string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.named[host]; ok {
		k.left[host] = time.Now()
	}
	delete(k.named, host)
}

// byEntry returns the container that the configuration names for a host.
func (k *known) byEntry(host string) (found, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.named[host]
	return f, ok
}

// claims returns the containers labelled with a name, running ones first.
func (k *known) claims(host string) []found {
	k.mu.Lock()
	defer k.mu.Unlock()
	var claims []found
	for _, f := range k.labelled {
		if f.host == host {
			claims = append(claims, f)
		}
	}
	slices.SortFunc(claims, func(a, b found) int {
		if a.running != b.running {
			if a.running {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return claims
}

// byImage returns a container that has a host's name only from its image.
func (k *known) byImage(host string) (f found, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.labelled {
		if f.byImage == host && host != "" {
			return f, true
		}
	}
	return found{}, false
}

// names returns the names of labelled hosts, and of those in the configuration that
// exist.
func (k *known) names() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := map[string]bool{}
	for _, f := range k.labelled {
		if f.host != "" {
			names[f.host] = true
		}
	}
	for host := range k.named {
		names[host] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// wasLeft reports whether a host's container was removed a moment ago.
func (k *known) wasLeft(host string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Since(k.left[host]) < comingBack
}
