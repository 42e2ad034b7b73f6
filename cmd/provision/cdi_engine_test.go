package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

// An engine that knows a GPU by its CDI name gives it by that, and then a limit
// may change in place.
func TestGPUsAreGivenByTheirCDINames(t *testing.T) {
	const flag = "--cdi-spec-dir"
	if help, err := exec.Command("dockerd", "--help").Output(); err == nil && !strings.Contains(string(help), flag) {
		t.Skip("this engine is too old for CDI")
	}
	dir := t.TempDir()
	const first = "GPU-00000000-0000-0000-0000-000000000000"
	spec := "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- {name: " + first + ", containerEdits: {env: [GIVEN=the first]}}\n"
	if err := os.WriteFile(filepath.Join(dir, "nvidia.yaml"), []byte(spec), 0o644); err != nil {
		t.Fatal(err)
	}
	b := newGPUBox(t, 2, flag+"="+dir)
	const one = "one: , gpus: [{count: 1}]"
	file := b.Compose("lab", one)
	b.mustRun("up", "-f", file, "-p", "lab")
	inspect := func() client.ContainerInspectResult {
		result, err := b.API.ContainerInspect(t.Context(), "lab-one-1", client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	c := inspect().Container
	if r := c.HostConfig.DeviceRequests; len(r) != 1 || r[0].Driver != "cdi" || r[0].DeviceIDs[0] != "nvidia.com/gpu="+first {
		t.Errorf("asked for %+v", r)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.State.Pid))
	if err != nil || !strings.Contains(string(environ), "GIVEN=the first\x00") {
		t.Errorf("it was not given: %q, %v", environ, err)
	}
	out, err := b.run("doctor", "-p", "lab")
	if want := "the CDI specification knows no GPU-00000001"; err == nil || !strings.Contains(out, want) {
		t.Errorf("a specification without the second: %v\n%s", err, out)
	}
	b.Compose("lab", one+", mem_limit: 64m")
	b.mustRun("up", "-f", file, "-p", "lab")
	if after := inspect().Container; after.ID != c.ID || after.HostConfig.Memory != 64<<20 {
		t.Errorf("recreated: %v; %d bytes", after.ID != c.ID, after.HostConfig.Memory)
	}
}
