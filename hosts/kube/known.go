package kube

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/kubernetes"
)

// comingBack is how long after its end a pod counts as being replaced, and how long
// after its start as starting up.
const comingBack = 30 * time.Second

// untilWaited is longer than any login waits; the configuration sets the real limit.
const untilWaited = time.Hour

// known is everything that the cluster has reported so far, and what was entered.
type known struct {
	mu     sync.Mutex
	pods   map[string]found         // by uid
	left   map[string]time.Time     // by host: when its pod was removed
	silent map[string]hosts.Silence // by namespace: why the cluster does not answer about it
	lives  map[string]*life         // by the container's id
	closed bool
}

// life is one run of a container. Everything that was entered in it ends with it,
// with its cause.
type life struct {
	context.Context
	end context.CancelCauseFunc
}

// whyLostTimeout is how long the cluster may take to report the end of a container
// after a process in it has ended.
const whyLostTimeout = 3 * time.Second

// whyEnded waits a moment for the end, and returns its reason; "" if it has not come.
func (l *life) whyEnded() string {
	select {
	case <-l.Done():
		return context.Cause(l).Error()
	case <-time.After(whyLostTimeout):
		return ""
	}
}

func newKnown() *known {
	return &known{pods: map[string]found{}, left: map[string]time.Time{}, silent: map[string]hosts.Silence{}, lives: map[string]*life{}}
}

// setSilent records whether the cluster answers about a namespace. It returns what
// the cluster does instead; "" if it answers.
func (k *known) setSilent(namespace string, err error) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		delete(k.silent, namespace)
		return ""
	}
	refuses := kubernetes.Refuses(err) || apierrors.IsNotFound(err)
	k.silent[namespace] = k.silent[namespace].Next(err, refuses)
	return k.silent[namespace].What()
}

// anySilence returns the silence about one of the namespaces, if there is any.
func (k *known) anySilence() (hosts.Silence, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.silent {
		return s, true
	}
	return hosts.Silence{}, false
}

// silenceAbout returns the silence about a namespace, if there is one.
func (k *known) silenceAbout(namespace string) (s hosts.Silence, isSilent bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, isSilent = k.silent[namespace]
	return s, isSilent
}

func (k *known) remember(f found) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.put(f)
}

func (k *known) put(f found) {
	was, wasThere := k.pods[f.uid]
	k.pods[f.uid] = f
	switch {
	case !wasThere:
	case was.host != f.host:
		k.end(was, "has another name now: its pod's label was changed")
	case f.deleting():
		k.end(was, f.whyEnding())
	case !f.running:
		k.end(was, f.why)
	case was.id != f.id:
		k.end(was, "was restarted: "+f.before.why)
	}
}

// end ends everything that was entered in a container's run.
func (k *known) end(f found, why string) {
	if life := k.lives[f.id]; life != nil {
		life.end(errors.New(why))
		delete(k.lives, f.id)
	}
}

func (k *known) forget(uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop(uid)
}

func (k *known) drop(uid string) {
	was, wasThere := k.pods[uid]
	if !wasThere {
		return
	}
	delete(k.pods, uid)
	k.left[was.host] = time.Now()
	k.end(was, "is gone: its pod "+was.pod()+" was deleted")
}

// whyEnding returns why a container will not run much longer.
func (f found) whyEnding() string {
	return "is ending: its pod " + f.pod() + " " + f.deletion.how
}

// replace replaces the pods of a namespace by those of a list.
func (k *known) replace(namespace string, list []found) {
	k.mu.Lock()
	defer k.mu.Unlock()
	there := map[string]bool{}
	for _, f := range list {
		there[f.uid] = true
		k.put(f)
	}
	for uid, f := range k.pods {
		if f.namespace == namespace && !there[uid] {
			k.drop(uid)
		}
	}
	maps.DeleteFunc(k.left, func(_ string, at time.Time) bool { return time.Since(at) > comingBack })
}

// byKey returns the present state of the pod whose container was looked up.
func (k *known) byKey(key string) (found, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.pods {
		if f.key() == key {
			return f, true
		}
	}
	return found{}, false
}

// enter returns the life of a container's run, which must be the present one.
func (k *known) enter(f found) (*life, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, isThere := k.pods[f.uid]
	if !isThere || !now.running || now.deleting() || now.id != f.id || k.closed {
		return nil, errors.New("it ends at this moment")
	}
	if k.lives[f.id] == nil {
		ctx, end := context.WithCancelCause(context.Background())
		k.lives[f.id] = &life{ctx, end}
	}
	return k.lives[f.id], nil
}

// close ends all lives.
func (k *known) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for id, life := range k.lives {
		life.end(context.Canceled)
		delete(k.lives, id)
	}
}

// claims returns the pods labelled with a name: first those that run and stay, then
// those that will.
func (k *known) claims(host string) []found {
	k.mu.Lock()
	defer k.mu.Unlock()
	var claims []found
	for _, f := range k.pods {
		if f.host == host {
			claims = append(claims, f)
		}
	}
	slices.SortFunc(claims, func(a, b found) int {
		if a.rank() != b.rank() {
			return a.rank() - b.rank()
		}
		return strings.Compare(a.pod(), b.pod())
	})
	return claims
}

// rank returns how suitable a pod is for a login; 0 is best.
func (f found) rank() int {
	switch {
	case f.running && !f.deleting():
		return 0
	case f.returns && !f.deleting():
		return 1
	case !f.deleting():
		return 2
	case f.running:
		return 3
	}
	return 4
}

// names returns the names of the hosts.
func (k *known) names() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := map[string]bool{}
	for _, f := range k.pods {
		names[f.host] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// wasLeft reports whether a host's pod was removed a moment ago.
func (k *known) wasLeft(host string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Since(k.left[host]) < comingBack
}
