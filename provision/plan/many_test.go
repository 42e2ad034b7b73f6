package plan

import (
	"fmt"
	"maps"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// manyHosts returns n services and their containers, of which every second one has
// changed, and as many containers of others.
func manyHosts(n int) (compose.Wanted, Observed) {
	want := compose.Wanted{Project: "lab"}
	have := Observed{Box: box.Box{Engine: box.Engine{NanoCPUs: 8e9, Memory: 64 << 30}}, Images: map[string]string{"one:latest": "sha256:one"}}
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		s := compose.Service{Name: name, Host: name, Container: "lab-" + name + "-1", Image: compose.Image{Ref: "one:latest"}}
		s.Reserved.Memory = 1 << 20
		s.Config.Labels = map[string]string{labels.Project: "lab", labels.Service: name, labels.Host: name, labels.Image: "sha256:one"}
		want.Services = append(want.Services, s)
		on := maps.Clone(s.Config.Labels)
		made := s
		if i%2 == 0 {
			made.Config.User = "changed"
		}
		on[labels.Config] = factsOf(made, have.Marks.digestOf).label()
		have.Containers = append(have.Containers,
			Container{ID: name, Name: s.Container, Labels: on, Running: true, State: "running", HostConfig: s.HostConfig},
			Container{ID: "foreign" + name, Name: "foreign" + name, Running: true, State: "running"})
	}
	return want, have
}

// The attack: very many services. For twenty times the services and containers a plan
// takes about twenty times as long, not four hundred.
func TestAttackByManyServicesAndContainers(t *testing.T) {
	took := func(n int) time.Duration {
		want, have := manyHosts(n)
		began := processorTime(t)
		p, err := Up(want, have, Options{})
		if err != nil || len(p.Steps) < n/2 {
			t.Fatalf("%d steps, %v", len(p.Steps), err)
		}
		_ = p.String()
		return processorTime(t) - began
	}
	const few, times = 100, 20
	base := took(few)
	if large := took(few * times); large > 5*times*base {
		t.Errorf("%d services take %s, and %d take %s", few, base, few*times, large)
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
