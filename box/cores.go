package box

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Core is a core of the processor: its hyperthreads, which share it, and the
// memory that is near.
type Core struct {
	Node int   // NUMA
	CPUs []int // as the kernel counts them
}

// ReadCores reads the processor's topology from this directory, which is /sys.
func ReadCores(sys string) ([]Core, error) {
	text, err := os.ReadFile(filepath.Join(sys, "devices/system/cpu/online"))
	if err != nil {
		return nil, err
	}
	nodes, err := readNodes(sys)
	if err != nil {
		return nil, err
	}
	var cores []Core
	for _, cpu := range ParseCPUs(string(text)) {
		siblings := []int{cpu}
		path := filepath.Join(sys, "devices/system/cpu", "cpu"+strconv.Itoa(cpu), "topology/thread_siblings_list")
		if text, err := os.ReadFile(path); err == nil {
			siblings = ParseCPUs(string(text))
		}
		if len(siblings) > 0 && siblings[0] == cpu {
			cores = append(cores, Core{nodes[cpu], siblings})
		}
	}
	if len(cores) == 0 {
		return nil, errors.New("it has no cpu that is online")
	}
	return cores, nil
}

// readNodes is the NUMA node of each cpu; all are on node 0 of a kernel without.
func readNodes(sys string) (map[int]int, error) {
	nodes := map[int]int{}
	lists, err := filepath.Glob(filepath.Join(sys, "devices/system/node/node[0-9]*/cpulist"))
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		node, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(list)), "node"))
		if err != nil {
			return nil, err
		}
		for _, cpu := range ParseCPUs(string(text)) {
			nodes[cpu] = node
		}
	}
	return nodes, nil
}

// ParseCPUs reads a list such as 0-3,8; what is no number is left out.
func ParseCPUs(list string) []int {
	var cpus []int
	for _, part := range strings.Split(strings.TrimSpace(list), ",") {
		low, high, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(low)
		last := first
		if isRange && err == nil {
			last, err = strconv.Atoi(high)
		}
		if err != nil || last-first > 1<<16 {
			continue
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// FormatCPUs is the shortest such list.
func FormatCPUs(cpus []int) string {
	sorted := slices.Sorted(slices.Values(cpus))
	var parts []string
	for i := 0; i < len(sorted); {
		end := i
		for end+1 < len(sorted) && sorted[end+1] == sorted[end]+1 {
			end++
		}
		part := strconv.Itoa(sorted[i])
		if end > i {
			part += "-" + strconv.Itoa(sorted[end])
		}
		parts = append(parts, part)
		i = end + 1
	}
	return strings.Join(parts, ",")
}

// CountCPUs is how many cpus these cores have.
func CountCPUs(cores []Core) int {
	sum := 0
	for _, c := range cores {
		sum += len(c.CPUs)
	}
	return sum
}
