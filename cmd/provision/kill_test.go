package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// deathAt passes an engine's calls on, but the process that makes the n-th one
// that changes something is killed in its place.
type deathAt struct {
	http.Handler
	calls atomic.Int64
	n     int64
	kill  func()
}

func (d *deathAt) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && d.calls.Add(1) == d.n {
		d.kill()
		<-r.Context().Done() // the process has gone
		return
	}
	d.Handler.ServeHTTP(w, r)
}

// killedAt runs provision and kills it at the n-th call; died is false where it
// needed no so many.
func (b *gpuBox) killedAt(n int, args ...string) (died bool) {
	b.Helper()
	engine := strings.TrimPrefix(b.engine, "unix://")
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", engine)
		}},
	}
	socket := filepath.Join(b.dir, rand.Text()[:8])
	listener, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	ctx, kill := context.WithCancel(b.Context()) // by SIGKILL
	defer kill()
	death := &deathAt{Handler: proxy, n: int64(n), kill: kill}
	server := &http.Server{Handler: death}
	go server.Serve(listener)
	defer server.Close()
	program := b.program(ctx, args...)
	program.Env = append(program.Env, "DOCKER_HOST=unix://"+socket)
	out, err := program.CombinedOutput()
	died = death.calls.Load() >= death.n
	if err != nil && !died {
		b.Fatalf("provision %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return died
}

// whole writes the file of a project that has something of everything.
func (b *gpuBox) whole(service string) string {
	b.Helper()
	path := filepath.Join(b.dir, "whole.yaml")
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
	two := b.compose("two", "master: "+one, "worker: "+one)
	before := b.compose("before", "master: "+one)
	after := b.compose("after", "master: , mem_limit: 64m"+one)
	t.Run("killed", func(t *testing.T) {
		for name, c := range map[string]struct {
			before, after string
			hosts         int
			calls         int // that change something
		}{
			"new":   {"", two, 2, 4},          // two creations and starts
			"anew":  {before, after, 1, 4},    // a stop, a removal, a creation and a start
			"whole": {"", b.whole(one), 1, 6}, // two networks, a volume, a creation, a connection and a start
		} {
			for n := 1; n <= c.calls+1; n++ {
				project := fmt.Sprintf("%s%d", name, n)
				t.Run(project, func(t *testing.T) {
					t.Parallel()
					b := b.on(t)
					if c.before != "" {
						b.mustRun("up", "-f", c.before, "-p", project)
					}
					if died := b.killedAt(n, "up", "-f", c.after, "-p", project); died != (n <= c.calls) {
						t.Fatalf("killed at call %d: %v", n, died)
					}
					b.mustRun("up", "-f", c.after, "-p", project)
					if out := b.mustRun("plan", "-f", c.after, "-p", project); !strings.Contains(out, "nothing to do") {
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
