package boxes

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errRefused = errors.New("user \"gateway\" cannot list pods")

// fakeBox has hosts, answers or does not, and answers for the first time when it is told.
type fakeBox struct {
	mu       sync.Mutex
	hosts    map[string]bool
	silent   bool
	answered chan struct{} // closed when it was asked once
	opened   []string
}

func newFakeBox(names ...string) *fakeBox {
	f := &fakeBox{hosts: map[string]bool{}, answered: make(chan struct{})}
	close(f.answered)
	for _, name := range names {
		f.hosts[name] = true
	}
	return f
}

func (f *fakeBox) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeBox) Run(ctx context.Context) { <-ctx.Done() }
func (f *fakeBox) Close()                  {}

func (f *fakeBox) Lookup(ctx context.Context, name string) (hosts.Host, error) {
	select {
	case <-f.answered:
	case <-ctx.Done():
		return hosts.Host{}, &hosts.Unreachable{Host: name, Why: "cannot be looked up", Silent: "it was not asked"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.hosts[name]:
		return hosts.Host{Name: name, Route: labels.RouteExec}, nil
	case f.silent:
		return hosts.Host{}, &hosts.Unreachable{Host: name, Why: "cannot be looked up: silence", Silent: "box a refuses the gateway since 14:07", Cause: errRefused}
	}
	return hosts.Host{}, &hosts.Unreachable{Host: name, Why: "does not exist", Unknown: true}
}

func (f *fakeBox) List(ctx context.Context) (all []hosts.Host) {
	select {
	case <-f.answered:
	case <-ctx.Done():
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.hosts {
		all = append(all, hosts.Host{Name: name})
	}
	return all
}

func (f *fakeBox) ComingBack(name string) (comingBack, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silent, f.hosts[name]
}

func (f *fakeBox) Open(_ context.Context, host hosts.Host, account string) (hosts.Entrance, error) {
	f.opened = append(f.opened, account+" on "+host.Name)
	return hosts.Entrance{}, nil
}

// lab is boxes a and b, and this machine's engine.
type lab struct {
	*Source
	here, a, b *fakeBox
	state      *state.State
}

func newLab(t *testing.T, here, a, b *fakeBox) lab {
	t.Helper()
	st, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	l := lab{New(st, slog.New(slog.DiscardHandler)), here, a, b, st}
	l.Add(hosts.LocalBox, here)
	l.Add("a", a)
	l.Add("b", b)
	return l
}

// run runs the source until the test ends.
func (l lab) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func (l lab) wantAt(t *testing.T, asked, name, box string) {
	t.Helper()
	host, err := l.Lookup(t.Context(), asked)
	if err != nil || host.Name != name || host.Box != box {
		t.Errorf("%s: %q on %q, %v; want %q on %q", asked, host.Name, host.Box, err, name, box)
	}
}

func (l lab) wantRefused(t *testing.T, asked, why string) {
	t.Helper()
	if host, err := l.Lookup(t.Context(), asked); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %+v, %v; want %q", asked, host, err, why)
	}
}

func TestANameIsOneHostOverAllBoxes(t *testing.T) {
	l := newLab(t, newFakeBox(), newFakeBox("master", "both"), newFakeBox("worker", "both"))
	l.wantAt(t, "master", "master", "a")
	l.wantAt(t, "worker", "worker", "b")
	l.wantAt(t, "master.a", "master", "a")
	l.wantRefused(t, "both", `host "both" is on several boxes: log in to both.a or both.b`)
	l.wantAt(t, "both.a", "both.a", "a")
	l.wantAt(t, "both.b", "both.b", "b")
	l.wantRefused(t, "master.b", `host "master.b" does not exist`)
	l.wantRefused(t, "nobody", `host "nobody" does not exist`)
	for _, asked := range []string{"worker", "both.b"} {
		host, err := l.Lookup(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Open(t.Context(), host, "dev"); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(l.b.opened, ", "); got != "dev on worker, dev on both.b" || l.a.opened != nil {
		t.Errorf("opened on b: %s; on a: %q", got, l.a.opened)
	}
}

// The attack: somebody who may create containers on box b gives one the name of a host
// on box a, to get the people who are granted that name. It stays a's, and what is on b
// is known to grants by its exact name only.
func TestAttackByTheNameOfAHostOnAnotherBox(t *testing.T) {
	l := newLab(t, newFakeBox(), newFakeBox("master"), newFakeBox())
	l.wantAt(t, "master", "master", "a")
	l.b.set(func() { l.b.hosts["master"] = true })
	l.wantAt(t, "master", "master", "a")
	l.wantAt(t, "master.b", "master.b", "b")
	l.a.set(func() { delete(l.a.hosts, "master") })
	if err := l.state.GiveHost("master.a", "service master of project p"); err != nil {
		t.Fatal(err)
	}
	l.wantRefused(t, "master", "its name belongs to box a, where it is gone, and b has one of that name: log in to master.b")
	if err := l.state.ForgetHost("master"); err != nil {
		t.Fatal(err)
	}
	l.wantAt(t, "master", "master", "b")
}

// The attack: a container is labelled with a name that reads as a host of another box.
// It is no host by that name, and grants do not know it by that name.
func TestAttackByALabelWithABoxInIt(t *testing.T) {
	l := newLab(t, newFakeBox("worker.a"), newFakeBox(), newFakeBox("master.a"))
	if err := l.state.GiveHost("worker.a", "service worker.a of project p"); err != nil { // as its engine has claimed it
		t.Fatal(err)
	}
	for range 2 {
		for _, host := range l.List(t.Context()) {
			if host.Name != "worker.a.local" && host.Name != "master.a.b" {
				t.Errorf("listed: %+v", host)
			}
		}
	}
	l.wantRefused(t, "master.a", "does not exist")
	l.wantRefused(t, "worker.a", "does not exist")
	l.wantAt(t, "master.a.b", "master.a.b", "b")
	l.wantAt(t, "worker.a.local", "worker.a.local", hosts.LocalBox)
}

// A name is kept from when it is seen, and not from the first login.
func TestANameIsItsBoxesFromTheFirstSightOn(t *testing.T) {
	l := newLab(t, newFakeBox(), newFakeBox("master", "both"), newFakeBox("both"))
	l.run(t)
	owned := func(name string) string {
		owner, err := l.state.Owner(name)
		if err != nil {
			t.Fatal(err)
		}
		return owner
	}
	await(t, func() bool { return owned("master") == labels.OwnerBox("a") })
	if owner := owned("both"); owner != "" {
		t.Errorf("a name that two boxes have is that of %s", owner)
	}
	l.b.set(func() { l.b.hosts["worker"] = true })
	l.Seen()
	await(t, func() bool { return owned("worker") == labels.OwnerBox("b") })
}

// A container of no project has its name only as long as it is there.
func TestANameMovesWithAContainerOfNoProject(t *testing.T) {
	l := newLab(t, newFakeBox(), newFakeBox("master"), newFakeBox())
	l.wantAt(t, "master", "master", "a")
	l.a.set(func() { delete(l.a.hosts, "master") })
	l.b.set(func() { l.b.hosts["master"] = true })
	l.wantAt(t, "master", "master", "b")
}

// A name with a dot in it is a host's of this machine as any other.
func TestANameWithADot(t *testing.T) {
	l := newLab(t, newFakeBox("gpu.1"), newFakeBox(), newFakeBox())
	l.wantAt(t, "gpu.1", "gpu.1", hosts.LocalBox)
	l.b.set(func() { l.b.hosts["gpu.1"] = true })
	l.wantAt(t, "gpu.1", "gpu.1", hosts.LocalBox)
	l.wantAt(t, "gpu.1.b", "gpu.1.b", "b")
}

func TestABoxThatIsDownHarmsNoOther(t *testing.T) {
	a := newFakeBox("master")
	a.answered = make(chan struct{}) // it has never answered
	l := newLab(t, newFakeBox("here"), a, newFakeBox("worker"))
	for name, owner := range map[string]string{"here": "service here of project p", "worker": labels.OwnerBox("b")} {
		if err := l.state.GiveHost(name, owner); err != nil {
			t.Fatal(err)
		}
	}
	l.wantAt(t, "worker", "worker", "b") // without waiting for a
	l.wantAt(t, "worker.b", "worker", "b")
	l.wantAt(t, "here", "here", hosts.LocalBox)
	l.wantAt(t, "here.local", "here", hosts.LocalBox)
	a.set(func() { a.silent = true })
	close(a.answered)
	l.wantAt(t, "master", "master", "a") // known from before
	l.wantRefused(t, "other.a", "cannot be looked up: silence")
	l.wantRefused(t, "other", `host "other" does not exist on the boxes that answer; box a refuses the gateway since 14:07`)
	if _, err := l.Lookup(t.Context(), "other"); !errors.Is(err, errRefused) {
		t.Errorf("the log does not have why: %v", err)
	}
	if comingBack, known := l.ComingBack("worker"); comingBack || !known {
		t.Error("worker is thought to be coming back")
	}
	if comingBack, known := l.ComingBack("master.a"); !comingBack || !known {
		t.Error("master is not thought to be coming back")
	}
}

func TestABoxThatTheConfigurationHasNoMore(t *testing.T) {
	l := newLab(t, newFakeBox("master"), newFakeBox(), newFakeBox())
	if err := l.state.GiveHost("master", labels.OwnerBox("c")); err != nil {
		t.Fatal(err)
	}
	l.wantRefused(t, "master", "belongs to box c, which gateway.yaml does not have any more")
	l.wantAt(t, "master.local", "master.local", hosts.LocalBox)
}

func await(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}
