package metrics

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/plan"
)

// made is a container with a claim; by provision where it has a project.
func made(name, project, state string, c ledger.Claim) plan.Container {
	return plan.Container{
		Name: name, State: state, Running: state == "running", Claim: c,
		Labels: map[string]string{labels.Project: project}, HostConfig: container.HostConfig{},
	}
}

// lab has a card that a host and a stranger hold, one that is free and sick, and a
// stopped host, which keeps its reservation.
func lab() (box.Box, []plan.Container) {
	b := box.Box{Engine: box.Engine{NanoCPUs: 8e9, Memory: 64 << 30}}
	b.GPUs = []box.GPU{
		{UUID: "GPU-a", Model: "NVIDIA H200", Memory: 140 << 30, MemoryUsed: 70 << 30, Utilisation: 98, Temperature: 61},
		{UUID: "GPU-b", Model: "NVIDIA H200", Utilisation: -1, Temperature: -1, Recovery: "Reset"},
	}
	whole := []box.Hold{{UUID: "GPU-a"}}
	impostor := made("impostor", "lab", "running", ledger.Claim{})
	impostor.Foreign = true
	return b, []plan.Container{
		made("master", "lab", "running", ledger.Claim{Amounts: ledger.Amounts{NanoCPUs: 3e9, Memory: 8 << 30}, GPUs: whole}),
		made("worker", "lab", "exited", ledger.Claim{Amounts: ledger.Amounts{NanoCPUs: 1e9}}),
		made("stranger", "", "running", ledger.Claim{Amounts: ledger.Amounts{Memory: 1 << 30}, GPUs: whole}),
		made("gone", "", "exited", ledger.Claim{Amounts: ledger.Amounts{Memory: 16 << 30}}),
		impostor,
	}
}

func TestWhatABoxHolds(t *testing.T) {
	watch := NewWatch(t.Context(), time.Minute, func(context.Context) (Seen, error) { return See(lab()), nil })
	text := told(t, watch)
	for _, line := range []string{
		`berth_box_up 1`, `berth_box_gpus_counted 1`,
		`berth_box_hosts{state="running"} 1`, `berth_box_hosts{state="exited"} 1`,
		`berth_box_cpus 8`, `berth_box_cpus_reserved 4`,
		`berth_box_memory_bytes 6.8719476736e+10`, `berth_box_memory_reserved_bytes 9.663676416e+09`,
		`berth_gpu_info{gpu="0",mig="",model="NVIDIA H200",uuid="GPU-a"} 1`,
		`berth_gpu_holders{gpu="0",uuid="GPU-a"} 2`, `berth_gpu_holders{gpu="1",uuid="GPU-b"} 0`,
		`berth_gpu_foreign{gpu="0",uuid="GPU-a"} 1`, `berth_gpu_foreign{gpu="1",uuid="GPU-b"} 0`,
		`berth_gpu_broken{gpu="0",uuid="GPU-a"} 0`, `berth_gpu_broken{gpu="1",uuid="GPU-b"} 1`,
		`berth_gpu_utilisation_ratio{gpu="0",uuid="GPU-a"} 0.98`,
		`berth_gpu_memory_used_bytes{gpu="0",uuid="GPU-a"} 7.516192768e+10`,
		`berth_gpu_temperature_celsius{gpu="0",uuid="GPU-a"} 61`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s in\n%s", line, text)
		}
	}
	for _, unknown := range []string{`berth_gpu_utilisation_ratio{gpu="1"`, `berth_gpu_temperature_celsius{gpu="1"`} {
		if strings.Contains(text, unknown) {
			t.Errorf("what the driver does not know is told: %s", unknown)
		}
	}
}

// told is what Prometheus gets.
func told(t *testing.T, w *Watch) string {
	t.Helper()
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(Registry("v1", w), promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Error(answer.Code)
	}
	return answer.Body.String()
}

// A driver that does not answer is asked once, holds up nobody for longer than a
// scrape may take, and what was seen before is told until it is too old to be true.
func TestADriverThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int32
		hangs := make(chan struct{})
		var outcome error
		watch := NewWatch(t.Context(), time.Minute, func(context.Context) (Seen, error) {
			if looks.Add(1) == 2 {
				<-hangs
			}
			return Seen{NoGPUs: "none"}, outcome
		})
		want := func(when string, told int32, age time.Duration, known bool) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			seen, is, isKnown, err := watch.Now(ctx)
			if looks.Load() != told || is != age || isKnown != known || known && seen.NoGPUs != "none" || !errors.Is(err, outcome) {
				t.Errorf("%s: %d looks, %v old, known %v, %v", when, looks.Load(), is, isKnown, err)
			}
		}
		want("at first", 1, 0, true)
		time.Sleep(30 * time.Second)
		want("a moment later", 1, 30*time.Second, true)
		time.Sleep(time.Minute)
		want("it hangs", 2, 95*time.Second, true)
		want("it still hangs", 2, 100*time.Second, true)
		time.Sleep(10 * time.Minute)
		want("for very long", 2, 705*time.Second, false)
		outcome = errors.New("no engine")
		close(hangs)
		synctest.Wait()
		want("it has failed", 3, 705*time.Second, false)
		if watch.Ready(t.Context()) == nil {
			t.Error("it is ready, and knows nothing")
		}
		outcome = nil
		time.Sleep(time.Minute)
		want("it is well again", 4, 0, true)
		if err := watch.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What is not known any more is not told as if it were.
func TestABoxThatIsNotSeen(t *testing.T) {
	watch := NewWatch(t.Context(), time.Minute, func(context.Context) (Seen, error) { return Seen{}, errors.New("no engine") })
	if text := told(t, watch); !strings.Contains(text, "berth_box_up 0\n") || strings.Contains(text, "berth_box_cpus") || strings.Contains(text, "berth_box_age") {
		t.Errorf("without an engine:\n%s", text)
	}
}
