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

// comingBack is how long after its end a pod is taken to be replaced, and how long
// after its start to be still starting up.
const comingBack = 30 * time.Second

// untilWaited is longer than a login waits for anything: how long that is, the configuration
// says.
const untilWaited = time.Hour

// known is what the cluster has told so far, and what was entered by it.
type known struct {
	mu     sync.Mutex
	pods   map[string]found         // by uid
	left   map[string]time.Time     // by host: when its pod went
	silent map[string]hosts.Silence // by namespace: about which the cluster does not answer, or refuses to
	lives  map[string]*life         // by the container's id
	closed bool
}

// life is one run of a container: what was entered in it ends with it, with the cause.
type life struct {
	context.Context
	end context.CancelCauseFunc
}

// whyLostTimeout is how long it may take until the cluster tells that a container ended
// in which a process did.
const whyLostTimeout = 3 * time.Second

// whyEnded waits a moment for the end, and says why; "" where it has not come.
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

// setSilent keeps why the cluster does not tell about a namespace, if it does not, and
// returns what it does instead; "" where it tells.
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

// anySilence is that about a namespace, if there is one.
func (k *known) anySilence() (hosts.Silence, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.silent {
		return s, true
	}
	return hosts.Silence{}, false
}

// silenceAbout is that about a namespace, if it is silent.
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

// end ends all that was entered in a container's run.
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

// whyEnding says why a container will not run for long.
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

// byKey is the pod whose container was looked up, as it is now.
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

// claims are the pods labelled with a name: those that run and stay first, then those
// that will.
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

// rank is how good a pod is for a login, from 0.
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

// names are the hosts'.
func (k *known) names() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := map[string]bool{}
	for _, f := range k.pods {
		names[f.host] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// wasLeft reports whether a host's pod went a moment ago.
func (k *known) wasLeft(host string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Since(k.left[host]) < comingBack
}
