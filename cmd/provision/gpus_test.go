package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"berth/box"
	"berth/labels"
	"berth/ledger"
)

func TestGPUTableSaysWhoHoldsAndWhoIsOn(t *testing.T) {
	id := strings.Repeat("ab", 32)
	in := "0::/docker/" + id + "\n"
	table := processTable{t.TempDir()}
	process := func(pid int, parent, command, cgroup, environ string) {
		table.put(t, pid, map[string]string{"status": "Name:\tx\nPPid:\t" + parent + "\n", "cmdline": command, "cgroup": cgroup, "environ": environ})
	}
	process(10, "1", "sshd: developer@pts/0", in, "")
	process(11, "10", "-zsh\x00", in, "A=b\x00BERTH_USER=anna\x00")
	process(12, "11", "python\x00train.py\x00", in, "BERTH_USER=somebody-else\x00") // who says so himself
	process(13, "1", "python\x00detached.py\x00", in, "BERTH_USER=bert\x00")
	process(14, "10", "python\x00before.py\x00", in, "BERTH_USER=\x1b[2J\x00")
	process(15, "1", "python\x00own.py\x00", "0::/user.slice\n", "")
	process(16, "1", "python\x00entry.py\x00", in, "")

	gpus := []box.GPU{
		{UUID: "GPU-1", Model: "NVIDIA H200", Memory: 140 << 30, MemoryUsed: 70 << 30, Utilisation: 98, Temperature: 61,
			Processes: []box.GPUProcess{
				{PID: 12, Name: "/usr/bin/pyt\x1bhon"}, {PID: 13, Name: "python"}, {PID: 14, Name: "python"}, {PID: 15, Name: "python"}, {PID: 16, Name: "python"}}},
		{UUID: "GPU-3", Model: "NVIDIA L40S", Memory: 45 << 30, Utilisation: -1, Temperature: -1, Recovery: "Reset"},
		{UUID: "GPU-2", Model: "NVIDIA H100", MIG: true, Temperature: -1, Instances: []box.MIGInstance{{UUID: "MIG-1", Profile: "1g.10gb", Memory: 10 << 30}, {UUID: "MIG-2", Profile: "1g.10gb", Memory: 10 << 30}},
			Processes: []box.GPUProcess{{PID: 16, Name: "python", Instance: "MIG-2"}}},
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	created := now.Add(-3 * time.Hour).Format(time.RFC3339Nano)
	containers := []existing{
		{id: id, name: "lab-master-1", running: true, created: created, claim: ledger.Claim{GPUs: []box.Hold{{UUID: "GPU-1"}, {UUID: "MIG-2"}}},
			labels: map[string]string{labels.Project: "lab", labels.Host: "master"}},
		{id: "f", name: "trainer", running: true, created: created, claim: ledger.Claim{GPUs: []box.Hold{{UUID: "MIG-1"}}}},
	}
	got := gpuTable(gpuStates(gpus, containers, table), now, true)
	want := `GPU  UUID   MODEL                       MEMORY           BUSY  TEMP  HOLDER                     SINCE    ON IT
<0    GPU-1  NVIDIA H200                 70GiB of 140GiB  98%   61°C  master (lab)               3 hours  pyt?hon 12 anna+developer@master, python 13 bert+master, python 14 developer@master, python 15 (in no container), python 16 master>
1    GPU-3  NVIDIA L40S, needs a reset  0B of 45GiB      -     -     -                          -        -
<2:0  MIG-1  MIG 1g.10gb                 10GiB            -     -     trainer (not provision's)  3 hours  ->
2:1  MIG-2  MIG 1g.10gb                 10GiB            -     -     master (lab)               3 hours  python 16 master
`
	want = strings.NewReplacer("<", "\x1b[31m", ">", "\x1b[0m").Replace(want)
	if got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestWhoIsOnAGPUIsNamedAndNotThrownOut(t *testing.T) {
	b := newGPUBox(t, 1)
	file := b.compose("lab", "one: , gpus: [{count: 1}]")
	b.mustRun("up", "-f", file, "-p", "lab")
	created, err := b.api.ExecCreate(t.Context(), "lab-one-1", client.ExecCreateOptions{Cmd: []string{"/wait"}, Env: []string{"BERTH_USER=anna"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.api.ExecStart(t.Context(), created.ID, client.ExecStartOptions{Detach: true}); err != nil {
		t.Fatal(err)
	}
	started, err := b.api.ExecInspect(t.Context(), created.ID, client.ExecInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.driver(1, started.PID, 1)
	want := fmt.Sprintf("wait %d anna+one, wait 1 (in no container)", started.PID)
	if out := b.mustRun("gpus"); !strings.Contains(out, want) {
		t.Errorf("got\n%s\nwant %s", out, want)
	}

	b.watches(2)

	b.compose("lab", "one: , gpus: [{count: 1}], environment: {A: b}")
	want = fmt.Sprintf("container lab-one-1, though environment.A added: wait (process %d) on GPU-00000000-0000-0000-0000-000000000000; --force makes it anew", started.PID)
	if out, err := b.run("up", "-f", file, "-p", "lab"); err == nil || !strings.Contains(out, want) {
		t.Errorf("got %v\n%s\nwant %s", err, out, want)
	}
	if out := b.mustRun("up", "--force", "-f", file, "-p", "lab"); !strings.Contains(out, "create  container lab-one-1") {
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
		var states []gpuState
		if err := said.Decode(&states); err != nil || len(states) != 1 {
			b.Fatalf("%d more: %+v, %v", times, states, err)
		}
	}
	watch.Process.Signal(os.Interrupt)
	if err := watch.Wait(); err != nil {
		b.Errorf("interrupted: %v", err)
	}
}

// put makes a process of a table of the test's own.
func (t processTable) put(test *testing.T, pid int, files map[string]string) {
	test.Helper()
	dir := filepath.Join(t.dir, strconv.Itoa(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		test.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			test.Fatal(err)
		}
	}
}
