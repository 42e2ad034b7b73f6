package metrics

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/plan"
)

// made returns a container with a claim; if it has a project, provision made it.
func made(name, project, state string, c ledger.Claim) plan.Container {
	return plan.Container{
		Name: name, State: state, Running: state == "running", Claim: c,
		Labels: map[string]string{labels.Project: project}, HostConfig: container.HostConfig{},
	}
}

// lab returns a box with a card that a host and a foreign container hold, a free one
// that is broken, and a stopped host, which keeps its reservation.
func lab() (box.Box, []plan.Container) {
	b := box.Box{Engine: box.Engine{NanoCPUs: 8e9, Memory: 64 << 30}}
	b.GPUs = []box.GPU{
		{UUID: "GPU-a", Model: "NVIDIA H200", Memory: 140 << 30, MemoryUsed: 70 << 30, Utilisation: 98, Temperature: 61,
			Processes: []box.GPUProcess{{PID: 1 << 30, Name: "python"}, {PID: 1<<30 + 1, Name: "python"}}},
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
		`berth_gpu_processes{gpu="0",uuid="GPU-a"} 2`, `berth_gpu_processes{gpu="1",uuid="GPU-b"} 0`,
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

// While the engine is down, the driver's numbers are reported, and no GPU is reported
// as free: neither a real card with a process on it nor instances of one.
func TestGPUsOfABoxWhoseEngineIsDown(t *testing.T) {
	for sample, lines := range map[string][]string{
		"580_h100_with_a_process": {
			`berth_gpu_info{gpu="0",mig="",model="NVIDIA H100 80GB HBM3",uuid="GPU-00000000-1111-2222-3333-444444444444"} 1`,
			`berth_gpu_memory_bytes{gpu="0",uuid="GPU-00000000-1111-2222-3333-444444444444"} 8.5520809984e+10`,
			`berth_gpu_memory_used_bytes{gpu="0",uuid="GPU-00000000-1111-2222-3333-444444444444"} 5.355077632e+09`,
			`berth_gpu_utilisation_ratio{gpu="0",uuid="GPU-00000000-1111-2222-3333-444444444444"} 0.99`,
			`berth_gpu_temperature_celsius{gpu="0",uuid="GPU-00000000-1111-2222-3333-444444444444"} 71`,
			`berth_gpu_processes{gpu="0",uuid="GPU-00000000-1111-2222-3333-444444444444"} 1`,
			`berth_gpu_broken{gpu="0",uuid="GPU-00000000-1111-2222-3333-444444444444"} 0`,
		},
		"550_h100_mig": {`berth_gpu_info{gpu="0:0",mig=`, `berth_gpu_memory_bytes{gpu="0:0",uuid=`},
	} {
		watch := NewWatch(t.Context(), time.Minute, func(context.Context) (Seen, error) {
			return SeeGPUs(sampled(t, sample), errors.New("no Docker engine answers")), nil
		})
		text := told(t, watch)
		for _, line := range append(lines, "berth_box_up 0\n", "berth_box_gpus_counted 1\n", "berth_box_age_seconds ") {
			if !strings.Contains(text, line) {
				t.Errorf("%s: there is no %s in\n%s", sample, line, text)
			}
		}
		for _, unknown := range []string{"berth_gpu_holders", "berth_gpu_foreign", "berth_box_cpus", "berth_box_memory", "berth_box_hosts"} {
			if strings.Contains(text, unknown) {
				t.Errorf("%s: nobody can know %s, and it is told in\n%s", sample, unknown, text)
			}
		}
		if err := watch.Ready(t.Context()); err == nil || err.Error() != "no Docker engine answers" {
			t.Errorf("%s: it is ready: %v", sample, err)
		}
	}
}

// sampled returns a box with the cards in one of package box's samples of nvidia-smi.
func sampled(t *testing.T, name string) box.Box {
	t.Helper()
	sample, err := txtar.ParseFile(filepath.Join("../../box/testdata/nvidia-smi", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	inventory, err := box.ParseInventory(sample.Files[0].Data, sample.Files[1].Data)
	if err != nil {
		t.Fatal(err)
	}
	return box.Box{Inventory: inventory}
}

// told returns what Prometheus gets.
func told(t *testing.T, w *Watch) string {
	t.Helper()
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(Registry("v1", w), promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Error(answer.Code)
	}
	return answer.Body.String()
}

// A driver that does not answer is asked once, and delays a scrape no longer than
// that may take. What was seen before is reported until it is too old.
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

// What is no longer known is no longer reported.
func TestABoxThatIsNotSeen(t *testing.T) {
	watch := NewWatch(t.Context(), time.Minute, func(context.Context) (Seen, error) { return Seen{}, errors.New("no engine") })
	if text := told(t, watch); !strings.Contains(text, "berth_box_up 0\n") || strings.Contains(text, "berth_box_cpus") || strings.Contains(text, "berth_box_age") {
		t.Errorf("without an engine:\n%s", text)
	}
}
