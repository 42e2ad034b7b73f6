package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// quotaPeriod is the period in which a share of the processors is given, in
// microseconds.
const quotaPeriod = 100_000

// Quota limits processes, and those that they start, to a share of one processor
// until the test ends, like a slow or busy machine.
func Quota(t *testing.T, share float64, pids ...int) {
	t.Helper()
	group, quota := "", fmt.Sprint(int(share*quotaPeriod))
	for root, file := range map[string][2]string{
		"/sys/fs/cgroup/cpu": {"cpu.cfs_quota_us", quota},
		"/sys/fs/cgroup":     {"cpu.max", quota + " " + fmt.Sprint(quotaPeriod)},
	} {
		made := filepath.Join(root, "berth-"+Mark())
		if os.Mkdir(made, 0o700) != nil {
			continue
		}
		if os.WriteFile(filepath.Join(made, file[0]), []byte(file[1]), 0o600) == nil {
			group = made
			t.Cleanup(func() { leaveQuota(made) })
			break
		}
		os.Remove(made)
	}
	if group == "" {
		t.Skip("no cgroup can be made that has a quota of the processors")
	}
	for _, pid := range pids {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(fmt.Sprint(pid)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// leaveQuota moves the processes back to the parent group.
func leaveQuota(group string) {
	pids, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	for _, pid := range strings.Fields(string(pids)) {
		os.WriteFile(filepath.Join(filepath.Dir(group), "cgroup.procs"), []byte(pid), 0o600)
	}
	os.Remove(group)
}
