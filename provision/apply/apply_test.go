package apply

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

// fakeEngine answers every call, and records the calls.
type fakeEngine struct {
	calls  []string
	bodies []string
	fails  string // the call that fails
}

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + regexp.MustCompile(`^/v[0-9.]+`).ReplaceAllString(r.URL.Path, "")
	var body strings.Builder
	var read json.RawMessage
	if json.NewDecoder(r.Body).Decode(&read) == nil {
		body.Write(read)
	}
	f.calls, f.bodies = append(f.calls, call), append(f.bodies, body.String())
	w.Header().Set("Content-Type", "application/json")
	if call == f.fails {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"message":"it is in use"}`)
		return
	}
	fmt.Fprint(w, `{"Id":"sha256:made","Config":{"User":"ada:staff","Labels":{"berth.reserve.gpu":"1","theirs":"x"}}}`)
}

func executorOn(t *testing.T, f *fakeEngine) *Executor {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	api, err := client.New(client.WithHost(strings.Replace(server.URL, "http", "tcp", 1)), client.WithAPIVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	return &Executor{API: api, Progress: &progress.Progress{}}
}

func TestEachStepIsCarriedOut(t *testing.T) {
	service := compose.Service{Container: "c", Image: compose.Image{Ref: "i"}, Config: container.Config{Image: "i", Labels: map[string]string{}}}
	for _, c := range []struct {
		step plan.Step
		want []string
	}{
		{plan.Step{Op: plan.OpPull, Kind: plan.KindImage, Name: "i"}, []string{"POST /images/create"}},
		{plan.Step{Op: plan.OpCreate, Kind: plan.KindNetwork, Name: "n", Network: compose.Network{Name: "n"}}, []string{"POST /networks/create"}},
		{plan.Step{Op: plan.OpCreate, Kind: plan.KindVolume, Name: "v", Volume: compose.Volume{Name: "v"}}, []string{"POST /volumes/create"}},
		{plan.Step{Op: plan.OpCreate, Kind: plan.KindContainer, Name: "c", Service: service}, []string{"GET /images/i/json", "POST /containers/create"}},
		{plan.Step{Op: plan.OpConnect, Kind: plan.KindContainer, Name: "c", Joins: compose.Attachment{Network: "n"}}, []string{"POST /networks/n/connect"}},
		{plan.Step{Op: plan.OpDisconnect, Kind: plan.KindContainer, Name: "c", Joins: compose.Attachment{Network: "n"}}, []string{"POST /networks/n/disconnect"}},
		{plan.Step{Op: plan.OpUpdate, Kind: plan.KindContainer, Name: "c", ID: "id"}, []string{"POST /containers/id/update"}},
		{plan.Step{Op: plan.OpStart, Kind: plan.KindContainer, Name: "c"}, []string{"POST /containers/c/start"}},
		{plan.Step{Op: plan.OpRestart, Kind: plan.KindContainer, Name: "c", ID: "id"}, []string{"POST /containers/id/restart"}},
		{plan.Step{Op: plan.OpStop, Kind: plan.KindContainer, Name: "c", ID: "id"}, []string{"POST /containers/id/stop"}},
		{plan.Step{Op: plan.OpRemove, Kind: plan.KindContainer, Name: "c", ID: "id"}, []string{"GET /containers/id/json", "DELETE /containers/id"}},
		{plan.Step{Op: plan.OpRemove, Kind: plan.KindNetwork, Name: "n"}, []string{"DELETE /networks/n"}},
		{plan.Step{Op: plan.OpRemove, Kind: plan.KindVolume, Name: "v"}, []string{"DELETE /volumes/v"}},
	} {
		t.Run(c.step.Task(), func(t *testing.T) {
			var engine fakeEngine
			if err := executorOn(t, &engine).CarryOut(t.Context(), c.step); err != nil {
				t.Error(err)
			}
			if !slices.Equal(engine.calls, c.want) {
				t.Errorf("asked %q, want %q", engine.calls, c.want)
			}
		})
	}
}

// The labels of a container also have what only its image can tell.
func TestAContainerIsLabelledWithItsImage(t *testing.T) {
	var engine fakeEngine
	service := compose.Service{Container: "c", Image: compose.Image{Ref: "i"}, Config: container.Config{Image: "i", Labels: map[string]string{labels.Account: ""}}}
	step := plan.Step{Op: plan.OpCreate, Kind: plan.KindContainer, Name: "c", Service: service}
	if err := executorOn(t, &engine).CarryOut(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	var sent struct{ Labels map[string]string }
	if err := json.Unmarshal([]byte(engine.bodies[1]), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Labels[labels.Image] != "sha256:made" || sent.Labels[labels.Account] != "ada" {
		t.Errorf("labels %v", sent.Labels)
	}
	if service.Config.Labels[labels.Image] != "" {
		t.Error("the plan's own labels were changed")
	}
}

// The attack: the author of an image sets our labels in it, to make a host that holds
// a whole GPU claim one byte of it. The labels are emptied, and the mark is made of
// the labels that are really set.
func TestAttackByAnImagesLabels(t *testing.T) {
	var engine fakeEngine
	e := executorOn(t, &engine)
	e.Marks = plan.Marks{Secret: []byte("ours")}
	on := map[string]string{labels.Project: "lab", labels.Service: "a"}
	service := compose.Service{Container: "c", Image: compose.Image{Ref: "i"}, Config: container.Config{Image: "i", Labels: on}}
	if err := e.CarryOut(t.Context(), plan.Step{Op: plan.OpCreate, Kind: plan.KindContainer, Name: "c", Service: service}); err != nil {
		t.Fatal(err)
	}
	var sent struct{ Labels map[string]string }
	if err := json.Unmarshal([]byte(engine.bodies[1]), &sent); err != nil {
		t.Fatal(err)
	}
	if value, there := sent.Labels[labels.GPUMemory]; value != "" || !there {
		t.Errorf("the image's label is left: %v", sent.Labels)
	}
	if judged := e.Marks.Judge([]plan.Container{{Labels: sent.Labels}}); judged[0].Foreign {
		t.Errorf("not known as provision's own: %v", sent.Labels)
	}
}

func TestAPlanEndsAtTheFirstStepThatFails(t *testing.T) {
	engine := fakeEngine{fails: "DELETE /networks/b"}
	var steps []plan.Step
	for _, name := range []string{"a", "b", "c"} {
		steps = append(steps, plan.Step{Op: plan.OpRemove, Kind: plan.KindNetwork, Name: name})
	}
	err := executorOn(t, &engine).Apply(t.Context(), plan.Plan{Steps: steps})
	if want := "remove network b: it is in use"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if len(engine.calls) != 2 {
		t.Errorf("asked %q", engine.calls)
	}
}

// A step of an unknown kind is an error, and is not skipped.
func TestAnUnknownStepIsRefused(t *testing.T) {
	for _, s := range []plan.Step{{Op: "mend"}, {Op: plan.OpCreate, Kind: plan.KindImage}, {Op: plan.OpRemove, Kind: plan.KindImage}} {
		var engine fakeEngine
		if err := executorOn(t, &engine).CarryOut(t.Context(), s); err == nil || len(engine.calls) > 0 {
			t.Errorf("%s: %v, asked %q", s.Task(), err, engine.calls)
		}
	}
}
