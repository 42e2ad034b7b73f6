package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"
	"github.com/berth-ssh/berth/test/harness"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEngine answers the few calls that the directory makes.
type fakeEngine struct {
	mu         sync.Mutex
	containers map[string]fakeContainer
	images     map[string]map[string]string // their labels, by id
	events     chan string                  // of containers with labels
	named      chan string                  // of containers that the configuration names
	lists      int
	inspects   int
}

type fakeContainer struct {
	name   string
	status string // running, paused, restarting, exited
	labels map[string]string
	ended  time.Time
	image  string
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{containers: map[string]fakeContainer{}, events: make(chan string, 16), named: make(chan string, 16)}
}

func (e *fakeEngine) set(id string, c fakeContainer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers[id] = c
}

func (e *fakeEngine) remove(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, id)
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if i := strings.Index(path, "/containers"); i > 0 {
		path = path[i:]
	}
	if _, image, ok := strings.Cut(path, "/images/"); ok {
		e.inspectImage(w, strings.TrimSuffix(image, "/json"))
		return
	}
	switch {
	case strings.HasSuffix(path, "/_ping"):
		w.Header().Set("API-Version", "1.41")
	case strings.HasSuffix(path, "/events"):
		e.serveEvents(w, r)
	case path == "/containers/json":
		e.list(w)
	default:
		e.inspect(w, strings.TrimSuffix(strings.TrimPrefix(path, "/containers/"), "/json"))
	}
}

func (e *fakeEngine) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.(http.Flusher).Flush()
	events := e.events
	if strings.Contains(r.URL.Query().Get("filters"), `"container":{`) {
		events = e.named
	}
	for {
		select {
		case event := <-events:
			io.WriteString(w, event)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (e *fakeEngine) list(w http.ResponseWriter) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists++
	list := []map[string]any{}
	for id, c := range e.containers {
		list = append(list, map[string]any{"Id": id, "Names": []string{"/" + c.name}, "ImageID": c.image, "Labels": c.labels, "State": c.status})
	}
	json.NewEncoder(w).Encode(list)
}

func (e *fakeEngine) inspect(w http.ResponseWriter, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inspects++
	for known, c := range e.containers {
		if id == known || id == c.name {
			json.NewEncoder(w).Encode(map[string]any{
				"Id": known, "Name": "/" + c.name, "Image": c.image,
				"Config": map[string]any{"Labels": c.labels},
				"State": map[string]any{
					"Status":  c.status,
					"Running": c.status == "running" || c.status == "paused", "Paused": c.status == "paused", "Restarting": c.status == "restarting",
					"FinishedAt": c.ended.Format(time.RFC3339Nano),
				},
			})
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
	io.WriteString(w, `{"message":"No such container"}`)
}

func (e *fakeEngine) inspectImage(w http.ResponseWriter, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	on, ok := e.images[id]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"message":"No such image"}`)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"Id": id, "Config": map[string]any{"Labels": on}})
}

// newTestSource follows an engine that listens at a socket, when it does.
func newTestSource(t *testing.T, socket string, entries ...hosts.Entry) *Source {
	t.Helper()
	s, _ := newSourceOf(t, Options{Engine: docker.Address{URL: "unix://" + socket}, Entries: entries, Log: slog.New(slog.DiscardHandler)})
	return s
}

// newSourceOf runs a source until the test ends, or stop is called.
func newSourceOf(t *testing.T, o Options) (s *Source, stop func()) {
	t.Helper()
	var err error
	if o.State, err = state.Open(filepath.Join(t.TempDir(), "state")); err != nil {
		t.Fatal(err)
	}
	if s, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		s.Close()
	})
	t.Cleanup(stop)
	return s, stop
}

func listen(t *testing.T, socket string, engine http.Handler) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: engine}}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
}

func followed(t *testing.T, engine *fakeEngine, entries ...hosts.Entry) *Source {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "engine")
	listen(t, socket, engine)
	return newTestSource(t, socket, entries...)
}

func labelling(host, route string) map[string]string {
	return map[string]string{labels.Host: host, labels.Route: route, labels.Account: "developer"}
}

func TestLabelsMakeAHost(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "lab-master-1", status: "running", labels: labelling("master", labels.RouteSshd)})
	engine.set("id2", fakeContainer{name: "other", status: "running", labels: map[string]string{labels.Host: "any"}})
	s := followed(t, engine)
	host, err := s.Lookup(t.Context(), "master")
	if want := (hosts.Host{Name: "master", Route: labels.RouteSshd, Account: "developer", Container: "id1"}); err != nil || !reflect.DeepEqual(bare(host), want) {
		t.Errorf("got %+v, %v, want %+v", host, err, want)
	}
	if host, err := s.Lookup(t.Context(), "any"); err != nil || host.Route != labels.RouteExec {
		t.Errorf("without a route: %+v, %v", host, err)
	}
}

func TestAnEntryGoesBeforeALabel(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "one", status: "running", labels: labelling("lab", labels.RouteSshd)})
	engine.set("id2", fakeContainer{name: "two", status: "running", labels: nil})
	s := followed(t, engine, hosts.Entry{Name: "lab", Route: labels.RouteExec, Container: "two"}, hosts.Entry{Name: "gone", Route: labels.RouteExec, Container: "three"})
	if host, err := s.Lookup(t.Context(), "lab"); err != nil || host.Container != "id2" || host.Route != labels.RouteExec {
		t.Errorf("got %+v, %v", host, err)
	}
	refusedWith(t, s, "gone", "there is no container three")
}

// Other entries come into force while the source runs: new ones are followed, and
// former ones are gone.
func TestEntriesAreExchanged(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "one", status: "running"})
	engine.set("id2", fakeContainer{name: "two", status: "running"})
	entry := func(name, container string) hosts.Entry {
		return hosts.Entry{Name: name, Route: labels.RouteExec, Container: container}
	}
	s := followed(t, engine, entry("lab", "one"), entry("old", "one"))
	if host, err := s.Lookup(t.Context(), "lab"); err != nil || host.Container != "id1" {
		t.Fatalf("at first: %+v, %v", host, err)
	}
	s.Replace([]hosts.Entry{entry("lab", "two"), entry("new", "one")})
	if host, err := s.Lookup(t.Context(), "lab"); err == nil && host.Container != "id2" {
		t.Errorf("the name leads to %+v, which it does not mean any more", host)
	}
	harness.Eventually(t, "both new ones are there", func() bool {
		lab, labErr := s.Lookup(t.Context(), "lab")
		added, addedErr := s.Lookup(t.Context(), "new")
		return labErr == nil && lab.Container == "id2" && addedErr == nil && added.Container == "id1"
	})
	refusedWith(t, s, "old", "does not exist")
	if all := s.List(t.Context()); len(all) != 2 {
		t.Errorf("lists %+v", all)
	}
	if _, known := s.ComingBack("old"); known {
		t.Error("the former one is known")
	}
}

func TestEventsAreFollowedWithoutListing(t *testing.T) {
	engine := newFakeEngine()
	s := followed(t, engine)
	refusedWith(t, s, "master", "does not exist")

	engine.set("id1", fakeContainer{name: "master", status: "running", labels: labelling("master", labels.RouteExec)})
	engine.events <- `{"Type":"container","Action":"start","Actor":{"ID":"id1"}}`
	harness.Eventually(t, "the host is there", func() bool {
		_, err := s.Lookup(t.Context(), "master")
		return err == nil
	})
	engine.remove("id1")
	engine.events <- `{"Type":"container","Action":"destroy","Actor":{"ID":"id1"}}`
	harness.Eventually(t, "the host is gone", func() bool {
		_, err := s.Lookup(t.Context(), "master")
		return err != nil
	})
	if engine.lists != 1 {
		t.Errorf("%d list calls, want the first one only", engine.lists)
	}
}

// Two containers under one name: whom a person reaches must not be chance.
func TestAnAmbiguousNameIsRefused(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "one", status: "running", labels: labelling("master", labels.RouteExec)})
	engine.set("id2", fakeContainer{name: "two", status: "running", labels: labelling("master", labels.RouteExec)})
	s := followed(t, engine)
	refusedWith(t, s, "master", "containers one and two both carry its label")
}

func TestOfOneServicesContainersTheRunningOneIsEntered(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "a-old", status: "exited", labels: ofProject("lab", "master")})
	engine.set("id2", fakeContainer{name: "b-new", status: "running", labels: ofProject("lab", "master")})
	s := followed(t, engine)
	if host, err := s.Lookup(t.Context(), "master"); err != nil || host.Container != "id2" {
		t.Errorf("got %+v, %v", host, err)
	}
}

// ofProject are the labels of a service's container, whose host has its name.
func ofProject(project, service string) map[string]string {
	on := labelling(service, labels.RouteExec)
	on[labels.Project], on[labels.Service] = project, service
	return on
}

// A grant says a name. When its container stops, nobody must end in a container that
// another project has given the same name, with the agent and all.
func TestAStoppedHostsNameIsNotTakenOver(t *testing.T) {
	for name, taker := range map[string]map[string]string{
		"another project's":            ofProject("evil", "master"),
		"one with just the host label": labelling("master", labels.RouteExec),
	} {
		t.Run(name, func(t *testing.T) {
			engine := newFakeEngine()
			engine.set("id1", fakeContainer{name: "lab-master-1", status: "running", labels: ofProject("lab", "master")})
			s := followed(t, engine)
			if host, err := s.Lookup(t.Context(), "master"); err != nil || host.Container != "id1" {
				t.Fatalf("got %+v, %v", host, err)
			}
			engine.set("id2", fakeContainer{name: "taker", status: "running", labels: taker})
			engine.events <- `{"Type":"container","Action":"start","Actor":{"ID":"id2"}}`
			engine.set("id1", fakeContainer{name: "lab-master-1", status: "exited", labels: ofProject("lab", "master")})
			engine.events <- `{"Type":"container","Action":"die","Actor":{"ID":"id1"}}`
			harness.Eventually(t, "both events are seen", func() bool {
				claims := s.known.claims("master")
				return len(claims) == 2 && claims[0].id == "id2" && !claims[1].running
			})
			if host, err := s.Lookup(t.Context(), "master"); err != nil || host.Container != "id1" {
				t.Errorf("stopped: got %+v, %v", host, err)
			}
			engine.remove("id1")
			engine.events <- `{"Type":"container","Action":"destroy","Actor":{"ID":"id1"}}`
			harness.Eventually(t, "the first one is gone", func() bool { return len(s.known.claims("master")) == 1 })
			refusedWith(t, s, "master", "its name belongs to service master of project lab, and container taker carries it now")
			if err := s.state.ForgetHost("master"); err != nil {
				t.Fatal(err)
			}
			if host, err := s.Lookup(t.Context(), "master"); err != nil || host.Container != "id2" {
				t.Errorf("after the owner has said so: got %+v, %v", host, err)
			}
		})
	}
}

// A host's name that an image brings along is its author's word, whoever starts it:
// it must not stand before the name of a host that a grant means, or is to mean.
func TestAnImagesLabelMakesNoHost(t *testing.T) {
	evil := map[string]string{labels.Host: "master", labels.Account: "root", labels.Project: "lab", labels.Service: "master", "team": "vision"}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(evil)
		maps.Copy(all, more)
		return all
	}
	for name, tt := range map[string]struct {
		on   map[string]string // the container
		host string            // "" for none
		want hosts.Host
	}{
		"the image's alone":                {evil, "", hosts.Host{}},
		"another name, by hand":            {with(map[string]string{labels.Host: "worker"}), "worker", hosts.Host{Route: labels.RouteExec}},
		"by hand, as compose does":         {with(map[string]string{labels.Host: "worker", labels.ComposeProject: "p"}), "worker", hosts.Host{Route: labels.RouteExec, Project: "p"}},
		"provision's, of what it has kept": {with(map[string]string{labels.Image: "sha256:evil"}), "master", hosts.Host{Route: labels.RouteExec, Account: "root", Project: "lab"}},
	} {
		for _, when := range []string{"listed", "an event"} {
			t.Run(name+", "+when, func(t *testing.T) {
				engine := newFakeEngine()
				engine.images = map[string]map[string]string{"sha256:evil": evil}
				container := fakeContainer{name: "pulled", status: "running", image: "sha256:evil", labels: tt.on}
				if when == "listed" {
					engine.set("id1", container)
				}
				s := followed(t, engine)
				refusedWith(t, s, "nobody", "does not exist")
				if when != "listed" {
					engine.set("id1", container)
					engine.events <- `{"Type":"container","Action":"start","Actor":{"ID":"id1"}}`
				}
				if tt.host == "" {
					harness.Eventually(t, "it is known", func() bool {
						_, known := s.known.byImage("master")
						return known
					})
					refusedWith(t, s, "master", "container pulled has its label from its image only")
					if all := s.List(t.Context()); len(all) != 0 {
						t.Errorf("lists %+v", all)
					}
					return
				}
				harness.Eventually(t, "the host is there", func() bool {
					host, err := s.Lookup(t.Context(), tt.host)
					tt.want.Name, tt.want.Container = tt.host, "id1"
					return err == nil && reflect.DeepEqual(bare(host), bare(tt.want))
				})
			})
		}
	}
}

// The attack: who is granted label:team=vision or project:vision makes an image with that
// label, and enters what somebody else runs of it. What compose has built has compose's
// labels, too, and its containers keep them.
func TestAnImagesLabelsAreNoGrants(t *testing.T) {
	built := map[string]string{labels.ComposeProject: "vision", labels.ComposeService: "web", "team": "vision"}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(built)
		maps.Copy(all, more)
		return all
	}
	for name, tt := range map[string]struct {
		on            map[string]string
		project, team string
	}{
		"by hand":         {with(map[string]string{labels.Host: "lab"}), "", ""},
		"another by hand": {with(map[string]string{labels.Host: "lab", "team": "audio"}), "", "audio"},
		"by provision":    {with(map[string]string{labels.Host: "lab", labels.Image: "sha256:evil", labels.Project: "own"}), "own", ""},
		"by compose":      {with(map[string]string{labels.Host: "lab", labels.ComposePrefix + "config-hash": "1"}), "vision", ""},
	} {
		t.Run(name, func(t *testing.T) {
			engine := newFakeEngine()
			engine.images = map[string]map[string]string{"sha256:evil": built}
			engine.set("id1", fakeContainer{name: "pulled", status: "running", image: "sha256:evil", labels: tt.on})
			host, err := followed(t, engine).Lookup(t.Context(), "lab")
			if err != nil || host.Project != tt.project || host.Labels["team"] != tt.team {
				t.Errorf("project %q, team %q: %v", host.Project, host.Labels["team"], err)
			}
		})
	}
}

// Where the box's owner names the container, it is a host, but as what the entry
// says, and of no project.
func TestAnEntryMakesAHostOfAnImagesLabel(t *testing.T) {
	on := map[string]string{labels.Host: "master", labels.Project: "lab"}
	engine := newFakeEngine()
	engine.images = map[string]map[string]string{"sha256:own": on}
	engine.set("id1", fakeContainer{name: "built", status: "running", image: "sha256:own", labels: on})
	s := followed(t, engine, hosts.Entry{Name: "master", Route: labels.RouteExec, Container: "built"})
	host, err := s.Lookup(t.Context(), "master")
	if err != nil || host.Container != "id1" || host.Project != "" {
		t.Errorf("got %+v, %v", host, err)
	}
}

// A container of no project is often made again under another name.
func TestANameOfNoProjectIsFreeWhenItsContainerIsGone(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "one", status: "running", labels: labelling("lab", labels.RouteExec)})
	s := followed(t, engine)
	engine.remove("id1")
	engine.events <- `{"Type":"container","Action":"destroy","Actor":{"ID":"id1"}}`
	engine.set("id2", fakeContainer{name: "two", status: "running", labels: labelling("lab", labels.RouteExec)})
	engine.events <- `{"Type":"container","Action":"start","Actor":{"ID":"id2"}}`
	harness.Eventually(t, "the other one has the name", func() bool {
		host, err := s.Lookup(t.Context(), "lab")
		return err == nil && host.Container == "id2"
	})
}

func TestAContainerThatCannotBeEnteredSaysWhy(t *testing.T) {
	engine := newFakeEngine()
	for _, status := range []string{"paused", "restarting", "exited"} {
		engine.set("id-"+status, fakeContainer{name: status, status: status, labels: labelling(status, labels.RouteExec)})
	}
	engine.set("id-odd", fakeContainer{name: "odd", status: "running", labels: labelling("odd", "telnet")})
	s := followed(t, engine)
	for name, want := range map[string]string{
		"paused":     "docker unpause paused",
		"restarting": "docker logs restarting",
		"exited":     "is not running (exited)",
		"odd":        `unknown route "telnet"`,
	} {
		host, err := s.Lookup(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(t.Context(), host, "developer"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func TestAnEngineThatComesLaterIsFound(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "engine")
	s := newTestSource(t, socket, hosts.Entry{Name: "box", Route: labels.RouteExec, Container: "box"})
	refusedWith(t, s, "master", "the engine does not answer")
	refusedWith(t, s, "box", "the engine does not answer")
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "master", status: "running", labels: labelling("master", labels.RouteExec)})
	listen(t, socket, engine)
	harness.Eventually(t, "the host is there", func() bool {
		_, err := s.Lookup(t.Context(), "master")
		return err == nil
	})
}

// The engine is there, and refuses the gateway, or is refused: that is no silence. Why, the
// log has and people do not, since a proxy may say anything.
func TestAnEngineThatRefusesTheGatewaySaysSo(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "engine")
	listen(t, socket, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<h1>not for gateway@10.0.0.1</h1>", http.StatusForbidden)
	}))
	engine, own := harness.StartTLSEngine(t)
	stranger := harness.MakeCertificates(t)
	unknown := t.TempDir()
	for name, from := range map[string]string{"ca.pem": own, "cert.pem": stranger, "key.pem": stranger} {
		harness.Write(t, filepath.Join(unknown, name), 0o600, harness.Read(t, filepath.Join(from, name)))
	}
	for what, c := range map[string]struct {
		engine    docker.Address
		does, why string
	}{
		"a proxy forbids it":             {docker.Address{URL: "unix://" + socket}, "refuses the gateway", "not for gateway@10.0.0.1"},
		"its certificate is not trusted": {docker.Address{URL: engine.Address, TLS: stranger}, "shows a certificate that the gateway does not accept", "x509: "},
		"the gateway's is not":           {docker.Address{URL: engine.Address, TLS: unknown}, "refuses the gateway", "remote error: tls: "},
	} {
		t.Run(what, func(t *testing.T) {
			var log bytes.Buffer
			s, stop := newSourceOf(t, Options{Engine: c.engine, Log: slog.New(slog.NewTextHandler(&log, nil))})
			_, err := s.Lookup(t.Context(), "master")
			stop()
			why := hosts.AsUnreachable(err)
			if why == nil || why.Why != "cannot be looked up: the engine "+c.does || why.Cause == nil || !strings.Contains(why.Cause.Error(), c.why) {
				t.Errorf("got %v (%v), want %q and %q", err, errors.Unwrap(err), c.does, c.why)
			}
			if said := log.String(); !strings.Contains(said, "engine "+c.does) || !strings.Contains(said, c.why) {
				t.Errorf("the log says %s", said)
			}
		})
	}
}

// A proxy before the engine lets the gateway look, and run nothing.
func TestAnEngineThatForbidsCommandsRefusesTheGateway(t *testing.T) {
	engine, socket := newFakeEngine(), filepath.Join(t.TempDir(), "engine")
	engine.set("id1", fakeContainer{name: "master", status: "running", labels: labelling("master", labels.RouteExec)})
	listen(t, socket, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Error(w, "<h1>not for gateway@10.0.0.1</h1>", http.StatusForbidden)
			return
		}
		engine.ServeHTTP(w, r)
	}))
	s := newTestSource(t, socket)
	host, err := s.Lookup(t.Context(), "master")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Open(t.Context(), host, "developer")
	why := hosts.AsUnreachable(err)
	if why == nil || why.Why != "cannot be entered: the engine refuses the gateway" || why.Cause == nil || !strings.Contains(why.Cause.Error(), "not for gateway@10.0.0.1") {
		t.Errorf("got %v (%v)", err, errors.Unwrap(err))
	}
}

// A login waits for nobody but the host: who asks the directory is answered by
// what the events have told.
func TestLookingUpAsksNoEngine(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "one", status: "running", labels: labelling("lab", labels.RouteExec)})
	engine.set("id2", fakeContainer{name: "two", status: "running"})
	s := followed(t, engine, hosts.Entry{Name: "box", Route: labels.RouteExec, Container: "two"})
	if _, err := s.Lookup(t.Context(), "lab"); err != nil {
		t.Fatal(err)
	}
	before := engine.calls()
	for _, name := range []string{"lab", "box", "nobody"} {
		s.Lookup(t.Context(), name)
		s.ComingBack(name)
	}
	if calls := engine.calls() - before; calls != 0 {
		t.Errorf("%d calls to the engine", calls)
	}
}

// On a busy box the engine takes seconds to say what became of a container, and
// the next login comes at once.
func TestAContainerThatDiesComesBackBeforeTheEngineSaysMore(t *testing.T) {
	for host, id := range map[string]string{"lab": "id1", "box": "id2"} {
		t.Run(host, func(t *testing.T) {
			engine := newFakeEngine()
			engine.set("id1", fakeContainer{name: "one", status: "running", labels: labelling("lab", labels.RouteExec)})
			engine.set("id2", fakeContainer{name: "two", status: "running"})
			s := followed(t, engine, hosts.Entry{Name: "box", Route: labels.RouteExec, Container: "two"})
			harness.Eventually(t, "it is known", func() bool {
				_, err := s.Lookup(t.Context(), host)
				return err == nil
			})
			engine.mu.Lock() // it answers nothing from now on
			defer engine.mu.Unlock()
			to := map[string]chan string{"lab": engine.events, "box": engine.named}[host]
			to <- fmt.Sprintf(`{"Type":"container","Action":"die","Actor":{"ID":%q,"Attributes":{"name":%q}}}`, id, id)
			harness.Eventually(t, "it comes back", func() bool {
				comingBack, _ := s.ComingBack(host)
				return comingBack
			})
		})
	}
}

func TestOpeningAsksTheEngineOnce(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "one", status: "paused", labels: labelling("lab", labels.RouteExec)})
	engine.set("id2", fakeContainer{name: "two", status: "paused"})
	s := followed(t, engine, hosts.Entry{Name: "box", Route: labels.RouteSshd, Container: "two"})
	for _, name := range []string{"lab", "box"} {
		host, err := s.Lookup(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		before := engine.calls()
		s.Open(t.Context(), host, "dev")
		if calls := engine.calls() - before; calls != 1 {
			t.Errorf("%s: %d calls to the engine", name, calls)
		}
	}
}

func TestAHostThatRestartsIsKnownToComeBack(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "one", status: "running", labels: labelling("lab", labels.RouteExec)})
	engine.set("id2", fakeContainer{name: "two", status: "running"})
	s := followed(t, engine, hosts.Entry{Name: "box", Route: labels.RouteExec, Container: "two"})
	for _, tt := range []struct {
		host, id, name string
		events         chan string
	}{{"lab", "id1", "one", engine.events}, {"box", "id2", "two", engine.named}} {
		on := map[string]string(nil)
		if tt.host == "lab" {
			on = labelling("lab", labels.RouteExec)
		}
		happens := func(action, status string, ended time.Time) {
			engine.set(tt.id, fakeContainer{name: tt.name, status: status, labels: on, ended: ended})
			tt.events <- fmt.Sprintf(`{"Type":"container","Action":%q,"Actor":{"ID":%q,"Attributes":{"name":%q}}}`, action, tt.id, tt.name)
		}
		comesBack := func(want bool) func() bool {
			return func() bool {
				comingBack, known := s.ComingBack(tt.host)
				return known && comingBack == want
			}
		}
		harness.Eventually(t, tt.host+" runs", comesBack(false))
		happens("die", "exited", time.Now())
		harness.Eventually(t, tt.host+" has ended a moment ago", comesBack(true))
		happens("start", "running", time.Time{})
		harness.Eventually(t, tt.host+" runs again", comesBack(false))
		happens("die", "restarting", time.Time{})
		harness.Eventually(t, tt.host+" is restarted by the engine", comesBack(true))
		happens("die", "exited", time.Now().Add(-time.Hour))
		harness.Eventually(t, tt.host+" ended long ago", comesBack(false))
		engine.remove(tt.id)
		tt.events <- fmt.Sprintf(`{"Type":"container","Action":"destroy","Actor":{"ID":%q,"Attributes":{"name":%q}}}`, tt.id, tt.name)
		harness.Eventually(t, tt.host+" was removed a moment ago", comesBack(true))
	}
	if comingBack, known := s.ComingBack("nobody"); comingBack || known {
		t.Errorf("a host that never was: %v, %v", comingBack, known)
	}
}

// A container that the configuration names is found again under its name when
// it is recreated.
func TestANamedContainerIsFollowedAcrossItsRecreation(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{name: "two", status: "running"})
	s := followed(t, engine, hosts.Entry{Name: "box", Route: labels.RouteExec, Container: "two"})
	if host, err := s.Lookup(t.Context(), "box"); err != nil || host.Container != "id1" {
		t.Fatalf("got %+v, %v", host, err)
	}
	engine.remove("id1")
	engine.named <- `{"Type":"container","Action":"destroy","Actor":{"ID":"id1","Attributes":{"name":"two"}}}`
	harness.Eventually(t, "it is gone", func() bool {
		_, err := s.Lookup(t.Context(), "box")
		return err != nil
	})
	engine.set("id2", fakeContainer{name: "two", status: "running"})
	engine.named <- `{"Type":"container","Action":"rename","Actor":{"ID":"id2","Attributes":{"name":"other"}}}`
	harness.Eventually(t, "the new one is there", func() bool {
		host, err := s.Lookup(t.Context(), "box")
		return err == nil && host.Container == "id2"
	})
}

// A list does not say when a container ended: who saw it running knows.
func TestWhatEndedUnseenIsTakenToHaveEndedNow(t *testing.T) {
	k := newKnown()
	k.replaceLabelled([]found{{id: "id1", host: "lab", running: true}, {id: "id2", host: "old"}})
	k.replaceLabelled([]found{{id: "id1", host: "lab"}, {id: "id2", host: "old"}})
	if !k.claims("lab")[0].isComingBack() {
		t.Error("one that ran when it was last seen is not coming back")
	}
	if k.claims("old")[0].isComingBack() {
		t.Error("one that never ran is coming back")
	}
}

// calls is how often the engine was asked about containers.
func (e *fakeEngine) calls() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lists + e.inspects
}

func refusedWith(t *testing.T, s *Source, name, want string) {
	t.Helper()
	_, err := s.Lookup(t.Context(), name)
	_, ok := errors.AsType[*hosts.Unreachable](err)
	if !ok || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}

// bare is a host without its labels.
func bare(host hosts.Host) hosts.Host {
	host.Labels = nil
	return host
}
