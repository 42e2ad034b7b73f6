package box

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// put makes a process of a directory of the test's own.
func (p Procs) put(t *testing.T, pid int, files map[string]string) {
	t.Helper()
	dir := filepath.Join(p.dir, strconv.Itoa(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var aDay = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestStatesSayWhoHoldsAndWhoIsOn(t *testing.T) {
	master, stranger := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	in := "0::/docker/" + master + "\n"
	procs := ProcsIn(t.TempDir())
	process := func(pid int, parent, command, cgroup, environ string) {
		procs.put(t, pid, map[string]string{"status": "Name:\tx\nPPid:\t" + parent + "\n", "cmdline": command, "cgroup": cgroup, "environ": environ})
	}
	process(10, "1", "sshd: developer@pts/0", in, "")
	process(11, "10", "-zsh\x00", in, "A=b\x00BERTH_USER=anna\x00")
	process(12, "11", "python\x00train.py\x00", in, "BERTH_USER=somebody-else\x00") // who says so himself
	process(13, "1", "python\x00detached.py\x00", in, "BERTH_USER=bert\x00")
	process(14, "10", "python\x00before.py\x00", in, "BERTH_USER=\x1b[2J\x00")
	process(15, "1", "python\x00own.py\x00", "0::/user.slice\n", "")
	process(16, "1", "python\x00entry.py\x00", in, "")
	process(17, "1", "python\x00elsewhere.py\x00", "0::/kubepods/"+stranger+"\n", "")

	on := func(pid int) GPUProcess { return GPUProcess{PID: pid, Name: "python", Memory: int64(pid) << 20} }
	part := func(uuid string) MIGInstance { return MIGInstance{UUID: uuid, Profile: "1g.10gb", Memory: 10 << 30} }
	b := Box{Procs: procs, Inventory: Inventory{GPUs: []GPU{
		{UUID: "GPU-1", Model: "NVIDIA H200", Memory: 140 << 30, MemoryUsed: 70 << 30, Utilisation: 98, Temperature: 61,
			Processes: []GPUProcess{on(12), on(13), on(14), on(15), on(16), on(17)}},
		{UUID: "GPU-3", Model: "NVIDIA L40S", Memory: 45 << 30, Utilisation: -1, Temperature: -1, Recovery: "Reset"},
		{UUID: "GPU-2", Model: "NVIDIA H100", MIG: true, Temperature: -1, Instances: []MIGInstance{part("MIG-1"), part("MIG-2")},
			Processes: []GPUProcess{{PID: 16, Name: "python", Instance: "MIG-2"}}},
	}}}
	containers := []Container{
		{ID: master, Name: "lab-master-1", Host: "master", Project: "lab", State: "running", Created: aDay, Holds: []Hold{{UUID: "GPU-1"}, {UUID: "MIG-2"}}},
		{ID: "f", Name: "trainer", State: "exited", Created: aDay, Holds: []Hold{{UUID: "MIG-1", Budget: 1 << 30}}},
	}
	t.Run("beside an engine", func(t *testing.T) {
		states, err := b.DeviceStates(containers)
		if err != nil {
			t.Fatal(err)
		}
		isGolden(t, "testdata/states.json", states)
		var foreign []string
		for _, s := range states {
			if s.IsForeign() {
				foreign = append(foreign, s.UUID)
			}
		}
		if !slices.Equal(foreign, []string{"GPU-1", "MIG-1"}) {
			t.Errorf("used by others: %v", foreign)
		}
	})
	t.Run("on a box elsewhere", func(t *testing.T) {
		text, err := json.Marshal(Report{Inventory: b.Inventory, Processes: procs.snapshot(b.GPUs)})
		if err != nil {
			t.Fatal(err)
		}
		var report Report
		if err := json.Unmarshal(text, &report); err != nil {
			t.Fatal(err)
		}
		states, err := report.Box(Engine{Elsewhere: true}).DeviceStates(containers)
		if err != nil {
			t.Fatal(err)
		}
		isGolden(t, "testdata/states.json", states)
		if strings.Contains(string(text), "A=b") {
			t.Error("a variable that nobody asks for leaves the box")
		}
	})
	t.Run("without an engine", func(t *testing.T) {
		states, err := b.DeviceStates(nil)
		if err != nil || len(states) != 4 {
			t.Errorf("%d devices, %v", len(states), err)
		}
		for _, s := range states {
			if s.Holders != nil || s.IsForeign() {
				t.Errorf("it cannot know of holders, but says %+v", s)
			}
		}
	})
	t.Run("that cannot be counted", func(t *testing.T) {
		if _, err := (Box{NoGPUs: "the driver hangs"}).DeviceStates(nil); err == nil || err.Error() != "the driver hangs" {
			t.Errorf("got %v", err)
		}
	})
}

// isGolden compares what JSON makes of it with the file.
func isGolden(t *testing.T, path string, value any) {
	t.Helper()
	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(got) != string(want) {
		t.Errorf("got %s\nwant %s%v", got, want, err)
	}
}

func TestWhoIsOnAContainer(t *testing.T) {
	inventory := Inventory{GPUs: []GPU{{UUID: "GPU-1", Processes: []GPUProcess{{PID: 30, Name: "/opt/conda/bin/python"}, {PID: 99, Name: "other"}}}}}
	processes := ParseProcesses([][]string{
		{"10", "1", "sshd: /usr/sbin/sshd -D -e [listener] 0 of 100-200 startups"},
		{"11", "10", "sshd: developer [priv]"},
		{"12", "11", "sshd: developer@pts/0"},
		{"13", "10", "sshd-session: developer@notty"},
		{"14", "13", "bash"},
		{"20", "1", "/usr/lib/berth/gateway-1 helper run"},
		{"21", "20", "-zsh"},
		{"22", "20", "/tmp/\x1b[2J\u202ex"},
		{"30", "21", "python train.py"},
		{"not", "a", "process"},
	})
	procs := ProcsIn(t.TempDir())
	procs.put(t, 14, map[string]string{"environ": "BERTH_USER=anna\x00"})
	procs.put(t, 21, map[string]string{"environ": "BERTH_USER=bert\x00"})
	got := slices.Concat(procs.Sessions(processes), inventory.OnGPUs(processes))
	want := []string{"developer@pts/0 by ssh", "anna (developer@notty by ssh)", "bert (-zsh, of a session)", "?[2J?x, of a session", "python (process 30) on GPU-1"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSoftOpenFiles(t *testing.T) {
	procs := ProcsIn(t.TempDir())
	procs.put(t, 1, map[string]string{"limits": "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n"})
	if got := procs.SoftOpenFiles(1); got != 1024 {
		t.Errorf("got %d", got)
	}
	if got := procs.SoftOpenFiles(2); got != 0 {
		t.Errorf("of no process: %d", got)
	}
}
