package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/box"
)

func TestGPUTableSaysWhoHoldsAndWhoIsOn(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	since := now.Add(-3 * time.Hour)
	master := []box.DeviceHolder{{Host: "master", Project: "lab", Container: "lab-master-1", Since: since}}
	states := []box.DeviceState{
		{Index: "0", UUID: "GPU-1", Model: "NVIDIA H200", Memory: 140 << 30, MemoryUsed: 70 << 30, Utilisation: 98, Temperature: 61, Holders: master,
			Processes: []box.DeviceProcess{
				{PID: 12, Name: "/usr/bin/pyt\x1bhon", Container: "lab-master-1", Host: "master", User: "anna", Account: "developer"},
				{PID: 13, Name: "python", Container: "lab-master-1", Host: "master", User: "bert"},
				{PID: 14, Name: "python", Container: "lab-master-1", Host: "master", Account: "developer"},
				{PID: 15, Name: "python", Foreign: true},
				{PID: 16, Name: "python", Container: "lab-master-1", Host: "master"},
				{PID: 17, Name: "python", Container: "cdcdcdcdcdcd", Foreign: true},
			}},
		{Index: "1", UUID: "GPU-3", Model: "NVIDIA L40S", Memory: 45 << 30, Utilisation: -1, Temperature: -1, Recovery: "Reset", Holders: []box.DeviceHolder{}},
		{Index: "2:0", UUID: "MIG-1", Model: "NVIDIA H100", MIG: "1g.10gb", Memory: 10 << 30, MemoryUsed: -1, Utilisation: -1, Temperature: -1,
			Holders: []box.DeviceHolder{{Container: "trainer", Budget: 1 << 30, Since: since}}},
		{Index: "2:1", UUID: "MIG-2", Model: "NVIDIA H100", MIG: "1g.10gb", Memory: 10 << 30, MemoryUsed: -1, Utilisation: -1, Temperature: -1,
			Processes: []box.DeviceProcess{{PID: 18, Name: "python"}}},
	}
	got := gpuTable(states, now, true)
	want := `GPU  UUID   MODEL                       MEMORY           BUSY  TEMP  HOLDER                          SINCE    PROCESSES
<0    GPU-1  NVIDIA H200                 70GiB of 140GiB  98%   61°C  master (lab)                    3 hours  pyt?hon 12 anna+developer@master, python 13 bert+master, python 14 developer@master, python 15 (in no container), python 16 master, python 17 in cdcdcdcdcdcd>
1    GPU-3  NVIDIA L40S, needs a reset  0B of 45GiB      -     -     -                               -        -
<2:0  MIG-1  MIG 1g.10gb                 10GiB            -     -     trainer (not provision's) 1GiB  3 hours  ->
2:1  MIG-2  MIG 1g.10gb                 10GiB            -     -     not known                       -        python 18
`
	want = strings.NewReplacer("<", "\x1b[31m", ">", "\x1b[0m").Replace(want)
	if got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// Where no engine answers, the cards are shown all the same.
func TestGPUsWithoutAnEngine(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "docker.sock"))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	smi := "#!/bin/sh\n[ $1 = -L ] || echo '<nvidia_smi_log><gpu><product_name>NVIDIA H200</product_name><uuid>GPU-1</uuid></gpu></nvidia_smi_log>'\n"
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(smi), 0o755); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err := showGPUs(t.Context(), onBox{}, &out, false)
	if err == nil || !strings.Contains(err.Error(), "no Docker engine answers at unix://") || !strings.Contains(err.Error(), "who holds the GPUs is not known") {
		t.Errorf("got %v", err)
	}
	if text := out.String(); !strings.Contains(text, "GPU-1  NVIDIA H200") || !strings.Contains(text, "not known") {
		t.Errorf("got\n%s", text)
	}
	out.Reset()
	if err := showGPUs(t.Context(), onBox{}, &out, true); err == nil || !strings.Contains(out.String(), `"holders": null`) {
		t.Errorf("as JSON: %v\n%s", err, out.String())
	}
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	out.Reset()
	if err := showGPUs(t.Context(), onBox{}, &out, false); err == nil || out.String() != "" {
		t.Errorf("an engine elsewhere does not answer: %v, and of this box's cards\n%s", err, out.String())
	}
}

func TestWhoIsOnAGPUIsNamedAndNotThrownOut(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 1)
	file := b.Compose("lab", "one: , gpus: [{count: 1}]")
	b.mustRun("up", "-f", file, "-p", "lab")
	created, err := b.API.ExecCreate(t.Context(), "lab-one-1", client.ExecCreateOptions{Cmd: []string{"/wait"}, Env: []string{"BERTH_USER=anna"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.API.ExecStart(t.Context(), created.ID, client.ExecStartOptions{Detach: true}); err != nil {
		t.Fatal(err)
	}
	started, err := b.API.ExecInspect(t.Context(), created.ID, client.ExecInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.Driver(1, started.PID, 1)
	want := fmt.Sprintf("wait %d anna+one, wait 1 (in no container)", started.PID)
	if out := b.mustRun("gpus"); !strings.Contains(out, want) {
		t.Errorf("got\n%s\nwant %s", out, want)
	}

	b.watches(2)

	b.Compose("lab", "one: , gpus: [{count: 1}], environment: {A: b}")
	want = fmt.Sprintf("container lab-one-1, though environment.A added: anna (wait (process %[1]d), by docker exec), wait (process %[1]d) on GPU-00000000-0000-0000-0000-000000000000; --force recreates it", started.PID)
	if out, err := b.run("up", "-f", file, "-p", "lab"); err == nil || !strings.Contains(out, want) {
		t.Errorf("got %v\n%s\nwant %s", err, out, want)
	}
	if out := b.mustRun("up", "--force", "-f", file, "-p", "lab"); !strings.Contains(out, "recreate  container lab-one-1") {
		t.Errorf("by force:\n%s", out)
	}
}

// watches wants gpus --watch to say it so many times, and to end at ctrl-c.
func (b *gpuBox) watches(times int) {
	b.Helper()
	watch := b.program(b.Context(), "gpus", "--watch", "--json")
	out, err := watch.StdoutPipe()
	if err == nil {
		err = watch.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	for said := json.NewDecoder(out); times > 0; times-- {
		var states []box.DeviceState
		if err := said.Decode(&states); err != nil || len(states) != 1 {
			b.Fatalf("%d more: %+v, %v", times, states, err)
		}
	}
	watch.Process.Signal(os.Interrupt)
	if err := watch.Wait(); err != nil {
		b.Errorf("interrupted: %v", err)
	}
}
