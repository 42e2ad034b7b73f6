package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manyServices returns a file with so many services that start one after the other.
// Each has a volume, and a key that is not carried out.
func manyServices(n int) string {
	var text, volumes strings.Builder
	text.WriteString("services:\n")
	volumes.WriteString("volumes:\n")
	for i := range n {
		fmt.Fprintf(&text, "  s%d: {image: one, volumes: ['vol%d:/data'], tty: true, isolation: x, depends_on: [s%d]}\n", i, i, max(0, i-1))
		fmt.Fprintf(&volumes, "  vol%d: {}\n", i)
	}
	return strings.Replace(text.String(), ", depends_on: [s0]}", "}", 1) + volumes.String()
}

// The attack: a file with very many services. For twenty times the services the load
// takes about twenty times as long, not four hundred.
func TestAttackByAFileOfManyServices(t *testing.T) {
	const few, times = 50, 20
	base := took(t, few)
	if large := took(t, few*times); large > 4*times*base {
		t.Errorf("%d services take %s, and %d take %s", few, base, few*times, large)
	}
}

// took returns the processor time for loading a file with so many services and
// computing what it wants.
func took(t *testing.T, services int) time.Duration {
	t.Helper()
	text := manyServices(services)
	began := processorTime(t)
	want, err := loaded(t, text).Want(Site{StateDir: "/srv/berth"})
	if err != nil || len(want.Services) != services || want.Services[services-1].Name != fmt.Sprintf("s%d", services-1) {
		t.Fatalf("%d services of %d in order: %v", len(want.Services), services, err)
	}
	return processorTime(t) - began
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// The attack: dependencies in 40 layers, with more paths through them than could ever
// be followed.
func TestAttackByANetOfDependencies(t *testing.T) {
	var text strings.Builder
	text.WriteString("services:\n")
	for layer := range 40 {
		for k := range 3 {
			fmt.Fprintf(&text, "  s%d-%d: {image: one", layer, k)
			if layer > 0 {
				fmt.Fprintf(&text, ", depends_on: [s%d-0, s%d-1, s%d-2]", layer-1, layer-1, layer-1)
			}
			text.WriteString("}\n")
		}
	}
	if n := len(loaded(t, text.String()).Services); n != 120 {
		t.Errorf("%d services", n)
	}
}

func TestServicesThatWaitForEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "compose.yaml")
	text := "services:\n  a: {image: one, depends_on: [b]}\n  b: {image: one, network_mode: 'service:c'}\n  c: {image: one, depends_on: [a]}\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(t.Context(), Options{Files: []string{path}, Project: "lab"})
	if want := `:2: service "a" depends on itself: a → b → c → a`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestALoadIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	release := make(chan struct{})
	defer close(release)
	if _, err := Await(ctx, func() (int, error) { <-release; return 1, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := Load(ctx, Options{Files: []string{fifo(t)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a file that never comes: %v", err)
	}
}

// fifo returns a pipe that nobody writes to, so that reading it blocks until the test
// ends.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "compose.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
			file.Close()
		}
	})
	return path
}

// Two runs want the same of a file, whatever mappings are in it: a host must not be
// recreated because they were read in another order.
func TestAFileWantsTheSameEveryTime(t *testing.T) {
	t.Chdir(t.TempDir())
	const text = `services:
  one:
    build: {context: ., dockerfile_inline: FROM debian:12, extra_hosts: {b: 10.0.0.2, a: 10.0.0.1, c: 10.0.0.3}, args: {B: b, A: a}}
    extra_hosts: [d:10.0.0.4, c:10.0.0.3, b:10.0.0.2, b:10.0.0.1, "host.docker.internal:host-gateway"]
    environment: {C: c, B: b, A: a}
    ulimits: {nproc: 1, nofile: 2, core: 3}
    tmpfs: [/b, /a]
    ports: ["80:80", "81:81", "90-92:90-92"]
    networks: {n2: {aliases: [y, x]}, n1: {}}
networks: {n1: {}, n2: {}}
`
	var first string
	for range 20 {
		want, err := loaded(t, text).Want(Site{})
		if err != nil {
			t.Fatal(err)
		}
		s := want.Services[0]
		is, err := json.Marshal([]any{s.Config, s.HostConfig, s.Networks, s.Image.Ref})
		if first = cmp.Or(first, string(is)); err != nil || string(is) != first {
			t.Fatalf("%v; got\n%s\nand before\n%s", err, is, first)
		}
	}
	if !strings.Contains(first, `"b:10.0.0.2","b:10.0.0.1"`) {
		t.Error("the addresses of a name lost their order: ", first)
	}
}

// Two services with the same container name: the second container could not be
// created after the first one was.
func TestServicesOfOneContainer(t *testing.T) {
	const text = "services:\n  one: {image: x, container_name: dev}\n  two:\n    image: x\n    container_name: dev\n"
	_, err := loaded(t, text).Want(Site{})
	if err == nil || !strings.HasSuffix(err.Error(), "compose.yaml:5: services one and two are both container dev; give each a container_name of its own, or none") {
		t.Errorf("got %v", err)
	}
}
