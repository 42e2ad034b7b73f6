// Package memory sets how much memory a process may hold, and gives memory back that
// it does not need.
package memory

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Limit returns how many bytes this process may hold: the smallest of GOMEMLIMIT, the
// cgroup's limit, and half of the machine's memory.
func Limit() uint64 {
	limit := uint64(math.MaxInt64)
	if set := debug.SetMemoryLimit(-1); set > 0 {
		limit = min(limit, uint64(set))
	}
	var machine unix.Sysinfo_t
	if unix.Sysinfo(&machine) == nil {
		limit = min(limit, uint64(machine.Totalram)*uint64(machine.Unit)/2)
	}
	if cgroup, err := cgroupLimit(); err == nil {
		limit = min(limit, cgroup)
	}
	return limit
}

// cgroupLimit reads memory.max of this process's cgroup (version 2).
func cgroupLimit() (uint64, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, err
	}
	_, path, found := strings.Cut(strings.TrimSpace(string(text)), "0::")
	if !found {
		return 0, fmt.Errorf("no cgroup of version 2")
	}
	text, err = os.ReadFile("/sys/fs/cgroup" + path + "/memory.max")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64) // "max" is an error
}
