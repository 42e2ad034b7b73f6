package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// core is a core of the processor: its hyperthreads, which share it, and the
// memory that is near.
type core struct {
	node int
	cpus []int
}

// readCores reads the processor's topology from /sys.
func readCores(sys string) ([]core, error) {
	text, err := os.ReadFile(filepath.Join(sys, "devices/system/cpu/online"))
	if err != nil {
		return nil, err
	}
	nodes, err := readNodes(sys)
	if err != nil {
		return nil, err
	}
	var cores []core
	for _, cpu := range parseCPUs(string(text)) {
		siblings := []int{cpu}
		path := filepath.Join(sys, "devices/system/cpu", "cpu"+strconv.Itoa(cpu), "topology/thread_siblings_list")
		if text, err := os.ReadFile(path); err == nil {
			siblings = parseCPUs(string(text))
		}
		if len(siblings) > 0 && siblings[0] == cpu {
			cores = append(cores, core{nodes[cpu], siblings})
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
		for _, cpu := range parseCPUs(string(text)) {
			nodes[cpu] = node
		}
	}
	return nodes, nil
}

// parseCPUs reads a list such as 0-3,8; what is no number is left out.
func parseCPUs(list string) []int {
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

// formatCPUs is the shortest such list.
func formatCPUs(cpus []int) string {
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

// pin finds whole cores for so many cpus, or says why it cannot: those it had,
// else of one node, of the one with the fewest left that suffice.
func (l *ledger) pin(wanted int, had []int) (cpus []int, refusal string) {
	if l.machine.noCores != "" {
		return nil, fmt.Sprintf("pins %d cpus, but nobody knows which there are: %s", wanted, l.machine.noCores)
	}
	pinned := map[int]bool{}
	var holders []string
	for _, c := range l.claims {
		for _, cpu := range c.pinned {
			pinned[cpu] = true
		}
		if len(c.pinned) > 0 {
			holders = append(holders, c.holder+" holds "+formatCPUs(c.pinned))
		}
	}
	free := slices.DeleteFunc(slices.Clone(l.machine.cores), func(c core) bool {
		return slices.ContainsFunc(c.cpus, func(cpu int) bool { return pinned[cpu] })
	})
	if cpusOf(free) < wanted {
		return nil, fmt.Sprintf("pins %d cpus, but %d of the machine's %d are on cores that nobody pins%s",
			wanted, cpusOf(free), cpusOf(l.machine.cores), sentence(holders))
	}
	left := map[int]int{} // cpus of each node
	for _, c := range free {
		left[c.node] += len(c.cpus)
	}
	slices.SortStableFunc(free, func(one, two core) int {
		return cmp.Or(
			first(slices.Contains(had, one.cpus[0]), slices.Contains(had, two.cpus[0])),
			first(left[one.node] >= wanted, left[two.node] >= wanted),
			cmp.Compare(left[one.node], left[two.node]),
			cmp.Compare(one.node, two.node),
		)
	})
	for _, c := range free {
		if len(cpus) < wanted {
			cpus = append(cpus, c.cpus...)
		}
	}
	return cpus, ""
}

func cpusOf(cores []core) int {
	sum := 0
	for _, c := range cores {
		sum += len(c.cpus)
	}
	return sum
}
