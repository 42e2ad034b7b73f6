package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
)

const id = "93fd0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"

// ended is a container whose last run ended at noon.
func ended(change func(*container.State, *container.HostConfig)) container.InspectResponse {
	c := container.InspectResponse{
		ID: id, State: &container.State{Status: container.StateExited, StartedAt: "2026-11-01T08:00:00Z", FinishedAt: "2026-11-01T12:00:00Z"},
		HostConfig: &container.HostConfig{}, Config: &container.Config{},
	}
	change(c.State, c.HostConfig)
	return c
}

func TestWhyAContainerEnded(t *testing.T) {
	noon := time.Date(2026, time.November, 1, 12, 0, 0, 0, time.UTC)
	at := noon.Local().Format("15:04 on 2 January")
	withGPU := func(h *container.HostConfig) {
		h.DeviceRequests = []container.DeviceRequest{{Driver: "cdi", DeviceIDs: []string{"nvidia.com/gpu=GPU-1"}}}
	}
	before := noon.Add(-24 * time.Hour) // of an earlier run
	kernel := []kernelRecord{
		{before, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=/docker/" + id + ",task_memcg=/docker/" + id + ",task=old,pid=4711,uid=1000"},
		{noon.Add(-time.Hour), "NVRM: Xid (PCI:0000:3b:00): 31, pid=1, name=old, MMU Fault"},
		{noon.Add(-time.Second), "NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, name=py\x1b[31mthon, GPU has fallen off the bus."},
		{noon, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=docker-x.scope,mems_allowed=0,oom_memcg=/system.slice/docker-" + id + ".scope,task_memcg=/system.slice/docker-" + id + ".scope,task=tr\x1bain,pid=4711,uid=1000"},
		{noon, "Memory cgroup out of memory: Killed process 4711 (train) total-vm:2048kB, anon-rss:1048576kB, file-rss:0kB, shmem-rss:0kB"},
		{noon, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=docker-y.scope,mems_allowed=0,oom_memcg=/docker/another,task_memcg=/docker/another,task=other,pid=1,uid=0"},
	}
	for name, c := range map[string]struct {
		is    container.InspectResponse
		know  evidence
		kind  EndKind
		text  string
		fault bool
	}{
		"out of memory": {
			ended(func(s *container.State, h *container.HostConfig) {
				s.OOMKilled, s.ExitCode, h.Memory = true, 137, 2<<30
			}),
			evidence{kernel: kernel}, OutOfMem,
			"the kernel killed it for want of memory: its limit is 2GiB, at " + at + "; it killed tr?ain, process 4711, which had 1GiB", true,
		},
		"out of memory without a limit": {
			ended(func(s *container.State, h *container.HostConfig) { s.OOMKilled, s.ExitCode = true, 137 }),
			evidence{}, OutOfMem, "the kernel killed it for want of memory: it has no limit but the box's, at " + at, true,
		},
		"out of memory, and the engine missed it": {
			ended(func(s *container.State, h *container.HostConfig) { s.ExitCode, h.Memory = 137, 2<<30 }),
			evidence{kernel: kernel}, OutOfMem,
			"the kernel killed it for want of memory: its limit is 2GiB, at " + at + "; it killed tr?ain, process 4711, which had 1GiB", true,
		},
		"out of memory, and nobody tells": {
			ended(func(s *container.State, h *container.HostConfig) { s.ExitCode, h.Memory = 137, 2<<30 }),
			evidence{}, Failed,
			"its command ended with code 137; something killed it, as the kernel does for want of memory: its limit is 2GiB, at " + at, true,
		},
		"failed": {
			ended(func(s *container.State, h *container.HostConfig) { s.ExitCode = 3 }),
			evidence{lastLine: "no such file", kernel: kernel[:3]}, Failed, "its command ended with code 3: no such file", true,
		},
		"failed by its GPU": {
			ended(func(s *container.State, h *container.HostConfig) { s.ExitCode = 1; withGPU(h) }),
			evidence{kernel: kernel[:3]}, Failed,
			"its command ended with code 1; the NVIDIA driver had reported Xid (PCI:0000:3b:00): 79, pid=4711, name=py?[31mthon, GPU has fallen off the bus.", true,
		},
		"not started": {
			ended(func(s *container.State, h *container.HostConfig) {
				s.Status, s.ExitCode, s.Error = container.StateCreated, 128, "nvml error: driver\n\x1b[2Jnot loaded"
			}),
			evidence{}, NotStarted, "the engine could not start it: nvml error: driver ?[2Jnot loaded", true,
		},
		"stopped": {
			ended(func(s *container.State, h *container.HostConfig) { s.ExitCode = 137 }),
			evidence{asked: []string{"SIGTERM", "SIGKILL"}, begun: true, lastLine: "x"}, Stopped, "somebody stopped it by the engine (SIGKILL, code 137)", false,
		},
		"stopped by the first of two signals": {
			ended(func(s *container.State, h *container.HostConfig) { s.ExitCode = 143 }),
			evidence{asked: []string{"SIGTERM", "SIGKILL"}, begun: true}, Stopped, "somebody stopped it by the engine (SIGTERM, code 143)", false,
		},
		"stopped, and it ended with a code of its own": {
			ended(func(s *container.State, h *container.HostConfig) { s.ExitCode = 3 }),
			evidence{asked: []string{"SIGHUP", "SIGTERM"}, begun: true}, Stopped, "somebody stopped it by the engine (SIGTERM, code 3)", false,
		},
		"done":    {ended(func(*container.State, *container.HostConfig) {}), evidence{}, Done, "its command ended", false},
		"created": {ended(func(s *container.State, h *container.HostConfig) { s.Status = container.StateCreated }), evidence{}, NotEnded, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.know.ending(c.is)
			if got != (Ending{c.kind, c.text}) || got.IsFault() != c.fault {
				t.Errorf("got  %+v\nwant %+v", got, Ending{c.kind, c.text})
			}
		})
	}
}

func TestTheKernelsLogIsReadWithItsTimes(t *testing.T) {
	boot := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	got, ok := parseKernelRecord("3,1234,60000000,-;NVRM: Xid 79; bus\n SUBSYSTEM=pci\n", boot)
	if want := (kernelRecord{boot.Add(time.Minute), "NVRM: Xid 79; bus"}); !ok || got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, wrong := range []string{"", "3,1234", "3,1234,x,-;text", "no record"} {
		if got, ok := parseKernelRecord(wrong, boot); ok {
			t.Errorf("%q is read as %+v", wrong, got)
		}
	}
}

func TestAKernelLogThatCannotBeReadIsNone(t *testing.T) {
	if got := readKernelLog(filepath.Join(t.TempDir(), "none")); got != nil {
		t.Errorf("got %v", got)
	}
	records := readKernelLog(kernelLog) // must come back, whatever it holds
	if os.Geteuid() == 0 {
		t.Logf("%d records", len(records))
	}
	for _, r := range records {
		if strings.Contains(r.text, "\n") {
			t.Fatalf("a record of two lines: %q", r.text)
		}
	}
}
