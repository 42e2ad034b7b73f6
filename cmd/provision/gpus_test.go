package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth/hosts"
)

func TestGPUTableSaysWhoHoldsAndWhoIsOn(t *testing.T) {
	id := strings.Repeat("ab", 32)
	proc := t.TempDir()
	process := func(pid int, parent, command, cgroup string) {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"status": "Name:\tx\nPPid:\t" + parent + "\n", "cmdline": command, "cgroup": cgroup} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	process(10, "1", "sshd: anna@pts/0", "0::/docker/"+id+"\n")
	process(11, "10", "python\x00train.py\x00", "0::/docker/"+id+"\n")
	process(12, "1", "python\x00own.py\x00", "0::/user.slice\n")

	gpus := []hosts.GPU{
		{UUID: "GPU-1", Model: "NVIDIA H200", Memory: 140 << 30, MemoryUsed: 70 << 30, Utilisation: 98, Temperature: 61,
			Processes: []hosts.GPUProcess{{PID: 11, Name: "/usr/bin/python"}, {PID: 12, Name: "python"}}},
		{UUID: "GPU-2", Model: "NVIDIA H100", MIG: true, Temperature: -1, Instances: []hosts.MIGInstance{{UUID: "MIG-1", Profile: "1g.10gb", Memory: 10 << 30}}},
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	created := now.Add(-3 * time.Hour).Format(time.RFC3339Nano)
	containers := []existing{
		{id: id, name: "lab-master-1", running: true, created: created, claim: claim{gpus: []gpuClaim{{"GPU-1", 0}}},
			labels: map[string]string{labelProject: "lab", hosts.LabelHost: "master"}},
		{id: "f", name: "trainer", running: true, created: created, claim: claim{gpus: []gpuClaim{{"MIG-1", 0}}}},
	}
	got := gpuTable(gpuStates(gpus, containers, processTable{proc}), now, true)
	want := `GPU  UUID   MODEL        MEMORY           BUSY  TEMP  HOLDER                     SINCE    ON IT
<0    GPU-1  NVIDIA H200  70GiB of 140GiB  98%   61°C  master (lab)               3 hours  python 11 anna master, python 12 (in no container)>
<1:0  MIG-1  MIG 1g.10gb  10GiB            -     -     trainer (not provision's)  3 hours  ->
`
	want = strings.NewReplacer("<", "\x1b[31m", ">", "\x1b[0m").Replace(want)
	if got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
