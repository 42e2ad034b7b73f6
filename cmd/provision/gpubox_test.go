package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/test/harness/engine"
)

// gpuBox is an engine of the test's own that hands out GPUs, and provision on it.
type gpuBox struct{ *engine.GPUBox }

func newGPUBox(t *testing.T, gpus int, flags ...string) *gpuBox {
	t.Helper()
	return &gpuBox{engine.NewGPUBox(t, gpus, flags...)}
}

// on is the same box in a test below.
func (b *gpuBox) on(t *testing.T) *gpuBox { return &gpuBox{b.On(t)} }

// program is provision as a process of its own: this test binary, as TestMain has it.
func (b *gpuBox) program(ctx context.Context, args ...string) *exec.Cmd {
	program := exec.CommandContext(ctx, os.Args[0], append(args, "--state", filepath.Join(b.Dir, "state"), "--yes")...)
	program.Env = append(b.Env(), asProvision+"=1")
	return program
}

// run is provision with these arguments; what it says, and whether it worked.
func (b *gpuBox) run(args ...string) (string, error) {
	out, err := b.program(b.Context(), args...).CombinedOutput()
	return string(out), err
}

func (b *gpuBox) mustRun(args ...string) string {
	b.Helper()
	out, err := b.run(args...)
	if err != nil {
		b.Fatalf("provision %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// holders are the containers by the device that they have; of the project, or
// of all.
func (b *gpuBox) holders(project string) map[string][]string {
	b.Helper()
	list, err := b.API.ContainerList(b.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		b.Fatal(err)
	}
	by := map[string][]string{}
	for _, c := range list.Items {
		result, err := b.API.ContainerInspect(b.Context(), c.ID, client.ContainerInspectOptions{})
		if err != nil || !strings.HasPrefix(c.Labels[labels.Project], project) {
			continue
		}
		for _, request := range result.Container.HostConfig.DeviceRequests {
			for _, uuid := range request.DeviceIDs {
				by[uuid] = append(by[uuid], result.Container.Name)
			}
		}
	}
	return by
}
