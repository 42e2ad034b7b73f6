package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"berth/docker"
	"berth/labels"
	"berth/state"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEngine answers the few calls that the directory makes.
type fakeEngine struct {
	mu         sync.Mutex
	containers map[string]fakeContainer
	events     chan string
	lists      int
}

type fakeContainer struct {
	name   string
	status string // running, paused, restarting, exited
	labels map[string]string
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{containers: map[string]fakeContainer{}, events: make(chan string, 16)}
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
	for {
		select {
		case event := <-e.events:
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
		list = append(list, map[string]any{"Id": id, "Names": []string{"/" + c.name}, "Labels": c.labels, "State": c.status})
	}
	json.NewEncoder(w).Encode(list)
}

func (e *fakeEngine) inspect(w http.ResponseWriter, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for known, c := range e.containers {
		if id == known || id == c.name {
			json.NewEncoder(w).Encode(map[string]any{
				"Id": known, "Name": "/" + c.name,
				"Config": map[string]any{"Labels": c.labels},
				"State": map[string]any{
					"Status":  c.status,
					"Running": c.status == "running" || c.status == "paused", "Paused": c.status == "paused", "Restarting": c.status == "restarting",
				},
			})
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
	io.WriteString(w, `{"message":"No such container"}`)
}

// newTestDirectory follows an engine that listens at a socket, when it does.
func newTestDirectory(t *testing.T, socket string, entries ...Entry) *Directory {
	t.Helper()
	st, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := docker.Connect("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDirectory(engine, st, entries, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		d.Close()
		engine.Close()
	})
	return d
}

func listen(t *testing.T, socket string, engine *fakeEngine) {
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

func followed(t *testing.T, engine *fakeEngine, entries ...Entry) *Directory {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "engine")
	listen(t, socket, engine)
	return newTestDirectory(t, socket, entries...)
}

func labelling(host, route string) map[string]string {
	return map[string]string{labels.Host: host, labels.Route: route, labels.Account: "developer"}
}

func TestLabelsMakeAHost(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{"lab-master-1", "running", labelling("master", labels.RouteSshd)})
	engine.set("id2", fakeContainer{"other", "running", map[string]string{labels.Host: "any"}})
	d := followed(t, engine)
	host, err := d.Lookup(t.Context(), "master")
	if want := (Host{Name: "master", Route: labels.RouteSshd, Account: "developer", Container: "id1"}); err != nil || host != want {
		t.Errorf("got %+v, %v, want %+v", host, err, want)
	}
	if host, err := d.Lookup(t.Context(), "any"); err != nil || host.Route != labels.RouteExec {
		t.Errorf("without a route: %+v, %v", host, err)
	}
}

func TestAnEntryGoesBeforeALabel(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{"one", "running", labelling("lab", labels.RouteSshd)})
	engine.set("id2", fakeContainer{"two", "running", nil})
	d := followed(t, engine, Entry{Name: "lab", Route: labels.RouteExec, Container: "two"}, Entry{Name: "gone", Route: labels.RouteExec, Container: "three"})
	if host, err := d.Lookup(t.Context(), "lab"); err != nil || host.Container != "id2" || host.Route != labels.RouteExec {
		t.Errorf("got %+v, %v", host, err)
	}
	refusedWith(t, d, "gone", "there is no container three")
}

func TestEventsAreFollowedWithoutListing(t *testing.T) {
	engine := newFakeEngine()
	d := followed(t, engine)
	refusedWith(t, d, "master", "does not exist")

	engine.set("id1", fakeContainer{"master", "running", labelling("master", labels.RouteExec)})
	engine.events <- `{"Type":"container","Action":"start","Actor":{"ID":"id1"}}`
	eventually(t, "the host is there", func() bool {
		_, err := d.Lookup(t.Context(), "master")
		return err == nil
	})
	engine.remove("id1")
	engine.events <- `{"Type":"container","Action":"destroy","Actor":{"ID":"id1"}}`
	eventually(t, "the host is gone", func() bool {
		_, err := d.Lookup(t.Context(), "master")
		return err != nil
	})
	if engine.lists != 1 {
		t.Errorf("%d list calls, want the first one only", engine.lists)
	}
}

// Two containers under one name: whom a person reaches must not be chance.
func TestAnAmbiguousNameIsRefused(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{"one", "running", labelling("master", labels.RouteExec)})
	engine.set("id2", fakeContainer{"two", "running", labelling("master", labels.RouteExec)})
	d := followed(t, engine)
	refusedWith(t, d, "master", "containers one and two both carry its label")
}

func TestARunningContainerGoesBeforeAStoppedOne(t *testing.T) {
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{"a-old", "exited", labelling("master", labels.RouteExec)})
	engine.set("id2", fakeContainer{"b-new", "running", labelling("master", labels.RouteExec)})
	d := followed(t, engine)
	if host, err := d.Lookup(t.Context(), "master"); err != nil || host.Container != "id2" {
		t.Errorf("got %+v, %v", host, err)
	}
}

func TestAContainerThatCannotBeEnteredSaysWhy(t *testing.T) {
	engine := newFakeEngine()
	for _, status := range []string{"paused", "restarting", "exited"} {
		engine.set("id-"+status, fakeContainer{status, status, labelling(status, labels.RouteExec)})
	}
	engine.set("id-odd", fakeContainer{"odd", "running", labelling("odd", "telnet")})
	d := followed(t, engine)
	for name, want := range map[string]string{
		"paused":     "docker unpause paused",
		"restarting": "docker logs restarting",
		"exited":     "is not running (exited)",
		"odd":        `unknown route "telnet"`,
	} {
		host, err := d.Lookup(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Open(t.Context(), host, "developer"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

func TestAnEngineThatComesLaterIsFound(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "engine")
	d := newTestDirectory(t, socket, Entry{Name: "box", Route: labels.RouteLocal})
	if _, err := d.Lookup(t.Context(), "box"); err != nil {
		t.Errorf("a host that needs no engine: %v", err)
	}
	refusedWith(t, d, "master", "the engine does not answer")
	engine := newFakeEngine()
	engine.set("id1", fakeContainer{"master", "running", labelling("master", labels.RouteExec)})
	listen(t, socket, engine)
	eventually(t, "the host is there", func() bool {
		_, err := d.Lookup(t.Context(), "master")
		return err == nil
	})
}

func TestAddressesThatDoNotAnswerAreRefusedReadably(t *testing.T) {
	d := followed(t, newFakeEngine(), Entry{Name: "old", Route: labels.RouteSshd, Address: "127.0.0.1:1"})
	host, err := d.Lookup(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Open(t.Context(), host, "developer")
	var u *Unreachable
	if !errors.As(err, &u) || u.Cause == nil || strings.Contains(u.Error(), "127.0.0.1") {
		t.Errorf("got %v: want a line for the person, and the cause for the log alone", err)
	}
	if _, err := d.Open(t.Context(), host, ""); err == nil || !strings.Contains(err.Error(), "account") {
		t.Errorf("without an account: %v", err)
	}
}

func refusedWith(t *testing.T, d *Directory, name, want string) {
	t.Helper()
	_, err := d.Lookup(t.Context(), name)
	var u *Unreachable
	if !errors.As(err, &u) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Errorf("not within 10 s: %s", what)
}
