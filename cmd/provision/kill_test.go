package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/labels"
)

// deathAt passes an engine's calls on, but at the n-th one that changes something the
// process that makes it is killed: before the engine hears of it, or when it is done.
type deathAt struct {
	http.Handler
	calls  atomic.Int64
	n      int64
	after  bool
	engine bool // it is the engine that kill ends
	kill   func()
}

func (d *deathAt) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || d.calls.Add(1) != d.n {
		d.Handler.ServeHTTP(w, r)
		return
	}
	if d.after {
		d.Handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	d.kill()
	if d.engine {
		panic(http.ErrAbortHandler) // whoever asked hears no answer
	}
	<-r.Context().Done() // the process has gone
}

// killedAt runs provision and kills it at the n-th call; died is false where it
// needed no so many. What provision leaves behind to mend that reaches the engine.
func (b *gpuBox) killedAt(n int, after bool, args ...string) (died bool) {
	b.Helper()
	ctx, kill := context.WithCancel(b.Context()) // by SIGKILL
	b.Cleanup(kill)
	out, calls, err := b.runWithDeath(ctx, &deathAt{n: int64(n), after: after, kill: kill}, args...)
	if died = calls >= int64(n); err != nil && !died {
		b.Fatalf("provision %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return died
}

// runWithDeath runs provision on an engine where something is killed.
func (b *gpuBox) runWithDeath(ctx context.Context, death *deathAt, args ...string) (out string, calls int64, err error) {
	b.Helper()
	engine := strings.TrimPrefix(b.Address, "unix://")
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", engine)
		}},
	}
	socket := filepath.Join(b.Dir, rand.Text()[:8])
	listener, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	death.Handler = proxy
	server := &http.Server{Handler: death}
	go server.Serve(listener)
	b.Cleanup(func() { server.Close() })
	program := b.program(ctx, args...)
	program.Env = append(program.Env, "DOCKER_HOST=unix://"+socket)
	said, err := program.CombinedOutput()
	return string(said), death.calls.Load(), err
}

// whole writes the file of a project that has something of everything.
func (b *gpuBox) whole(service string) string {
	b.Helper()
	path := filepath.Join(b.Dir, "whole.yaml")
	text := "services: {a: {image: wait, init: false, stop_grace_period: 0s, networks: [near, far], volumes: ['data:/data']" + service + "}}\n" +
		"networks: {near: {internal: true}, far: {internal: true}}\nvolumes: {data: }\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	return path
}

func TestUpFinishesWhatAKilledOneBegan(t *testing.T) {
	const one = ", gpus: [{count: 1}]"
	b := newGPUBox(t, 32)
	two := b.Compose("two", "master: "+ofProject("master")+one, "worker: "+ofProject("worker")+one)
	t.Run("killed", func(t *testing.T) {
		for name, c := range map[string]struct {
			file  string
			hosts int
			calls int // that change something
		}{
			"new":   {two, 2, 4},                           // two creations and starts
			"whole": {b.whole(ofProject("a") + one), 1, 6}, // two networks, a volume, a creation, a connection and a start
		} {
			for n := 1; n <= c.calls+1; n++ {
				project := fmt.Sprintf("%s%d", name, n)
				t.Run(project, func(t *testing.T) {
					t.Parallel()
					b := b.on(t)
					if died := b.killedAt(n, false, "up", "-f", c.file, "-p", project); died != (n <= c.calls) {
						t.Fatalf("killed at call %d: %v", n, died)
					}
					b.mustRun("up", "-f", c.file, "-p", project)
					if out := b.mustRun("plan", "-f", c.file, "-p", project); !strings.Contains(out, "nothing to do") {
						t.Errorf("the next up left something to do:\n%s", out)
					}
					if held := b.holders(project); len(held) != c.hosts {
						t.Errorf("%d hosts hold %v", c.hosts, held)
					}
				})
			}
		}
	})
	for uuid, names := range b.holders("") {
		if len(names) > 1 {
			t.Errorf("%s is held by %v", uuid, names)
		}
	}
}

// settled returns when a project has these hosts, each of them running under its name,
// and nothing else.
func (b *gpuBox) settled(project string, hosts int) {
	b.Helper()
	var seen []string
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		list, err := b.API.ContainerList(b.Context(), client.ContainerListOptions{
			All: true, Filters: make(client.Filters).Add("label", labels.Project+"="+project),
		})
		seen = nil
		good := 0
		for _, c := range list.Items {
			seen = append(seen, c.Names[0]+" "+string(c.State))
			if c.State == "running" && c.Names[0] == "/"+project+"-"+c.Labels[labels.Service]+"-1" {
				good++
			}
		}
		if err == nil && good == hosts && len(list.Items) == hosts {
			return
		}
	}
	b.Fatalf("%s: the containers are %v", project, seen)
}

// Wherever provision is killed, each host is the old one or the new one, and runs,
// without anybody's doing; and the next run finishes.
func TestAHostIsOldOrNewWhereverProvisionIsKilled(t *testing.T) {
	const one = ", gpus: [{count: 1}]"
	b := newGPUBox(t, 32)
	a, c := "a: "+ofProject("a")+one, "b: "+ofProject("b")+one
	before, after := b.Compose("before", a, c), b.Compose("after", a+", hostname: new", c)
	const calls = 14 // that change something
	t.Run("killed", func(t *testing.T) {
		for n := 1; n <= calls; n++ {
			for _, when := range []string{"before", "after"} {
				if when == "before" && n > 1 && n < calls {
					continue // as after the one before it
				}
				if os.Getenv("BERTH_SOAK") == "" && n%3 != 1 && n != calls {
					continue // make soak tries all of them
				}
				project := fmt.Sprintf("%s%d", when, n)
				t.Run(project, func(t *testing.T) {
					t.Parallel()
					b := b.on(t)
					b.mustRun("up", "-f", before, "-p", project)
					if died := b.killedAt(n, when == "after", "up", "-f", after, "-p", project); !died {
						t.Fatalf("it needs no %d calls", n)
					}
					b.settled(project, 2)
					b.mustRun("up", "-f", after, "-p", project)
					b.settled(project, 2)
					if out := b.mustRun("plan", "-f", after, "-p", project); !strings.Contains(out, "nothing to do") {
						t.Errorf("the next up left something to do:\n%s", out)
					}
					b.mustRun("down", "-p", project)
				})
			}
		}
	})
	project := "once"
	b.mustRun("up", "-f", before, "-p", project)
	if b.killedAt(calls+1, false, "up", "-f", after, "-p", project) {
		t.Errorf("it needs more than %d calls: try them, too", calls)
	}
}

// ofProject gives a service a host name that no other project has.
func ofProject(service string) string {
	return ", x-berth: {host: \"${COMPOSE_PROJECT_NAME}-" + service + "\"}"
}

// The same for the engine, which starts again.
func TestAHostIsOldOrNewWhereverTheEngineIsKilled(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 2)
	before := b.Compose("before", "a: "+ofProject("a")+", gpus: [{count: 1}]")
	after := b.Compose("after", "a: "+ofProject("a")+", hostname: new, gpus: [{count: 1}]")
	step := 6
	if os.Getenv("BERTH_SOAK") != "" {
		step = 1
	}
	for n := 1; n < 16; n += step {
		project := fmt.Sprintf("e%d", n)
		b.mustRun("up", "-f", before, "-p", project)
		started := make(chan struct{})
		out, calls, err := b.runWithDeath(b.Context(), &deathAt{n: int64(n), after: true, engine: true, kill: func() {
			b.Kill()
			go func() { defer close(started); b.Restart(b.T) }()
		}}, "up", "-f", after, "-p", project)
		if calls < int64(n) {
			break
		}
		<-started
		t.Logf("engine killed at call %d: %v\n%s", n, err, out)
		b.settled(project, 1)
		b.mustRun("up", "-f", after, "-p", project)
		b.mustRun("down", "-p", project)
	}
}
