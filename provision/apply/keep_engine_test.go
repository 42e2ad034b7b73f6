package apply

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

// What was written survives the merge of many layers into one, with the image's
// settings and none of the container's.
func TestWhatIsKeptIsOneLayerFromTimeToTime(t *testing.T) {
	base := os.Getenv("BERTH_BASE_IMAGE")
	api, err := docker.Dial(t.Context(), docker.Address{})
	if base == "" || err != nil {
		t.Skip("no engine, or BERTH_BASE_IMAGE names no image: ", err)
	}
	created, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config: &container.Config{Image: base, Cmd: []string{"sh", "-c", "echo of weeks >/root/work"}, Env: []string{"MINE=1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := &Executor{API: api.Client, Progress: &progress.Progress{}}
	defer e.discard(t.Context(), created.ID)
	if err := e.start(t.Context(), created.ID); err != nil {
		t.Fatal(err)
	}
	ended := api.ContainerWait(t.Context(), created.ID, client.ContainerWaitOptions{})
	select {
	case <-ended.Result:
	case err := <-ended.Error:
		t.Fatal(err)
	}
	flat, err := e.flatten(t.Context(), created.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer api.ImageRemove(t.Context(), flat, client.ImageRemoveOptions{})
	of, err := api.ImageInspect(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := e.withConfig(t.Context(), "master", flat, of.InspectResponse)
	if err != nil {
		t.Fatal(err)
	}
	defer e.forget(t.Context(), ref)
	is, err := api.ImageInspect(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if len(is.RootFS.Layers) != 1 || strings.Join(is.Config.Env, " ") != strings.Join(of.Config.Env, " ") || strings.Join(is.Config.Cmd, " ") != strings.Join(of.Config.Cmd, " ") {
		t.Errorf("%d layers, config %+v", len(is.RootFS.Layers), is.Config)
	}
	read, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &container.Config{Image: ref, Cmd: []string{"true"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.discard(t.Context(), read.ID)
	if _, err := api.ContainerStatPath(t.Context(), read.ID, client.ContainerStatPathOptions{Path: "/root/work"}); err != nil {
		t.Error(err)
	}
	e.discard(t.Context(), read.ID)
	again, err := e.withConfig(t.Context(), "master", flat, of.InspectResponse)
	if err != nil {
		t.Fatal(err)
	}
	e.undoAll(t.Context(), []*recreation{{Step: plan.Step{ID: created.ID}, from: again}}, errors.New("interrupted before a container was made from it"))
	if _, err := api.ImageInspect(t.Context(), again); !errdefs.IsNotFound(err) {
		t.Errorf("left behind by a change that failed: %v", err)
	}
}
