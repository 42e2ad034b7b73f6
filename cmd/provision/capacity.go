package main

import (
	"fmt"
	"strconv"

	"github.com/docker/go-units"
)

// ledger is what a machine has, and what of it is reserved.
type ledger struct {
	machine, taken resources
	refused        []string
}

// refusals are the limits that the engine would refuse, and the reservations
// that do not fit the machine beside what is taken and what the services
// before them reserve: a line each.
func refusals(machine, taken resources, services []wantedService) []string {
	l := ledger{machine: machine, taken: taken}
	for _, s := range services {
		if s.limits.nanoCPUs > machine.nanoCPUs {
			l.refuse("%s: is limited to %s, but the machine has %s", s.name, cpus(s.limits.nanoCPUs), cpus(machine.nanoCPUs))
		}
		l.reserve(s.name, s.reserved)
	}
	return l.refused
}

// reserve takes each resource that fits. One that does not leaves the others
// and later services what they can have, so that every line of a refusal says
// something of its own.
func (l *ledger) reserve(name string, r resources) {
	if fits(l, name, r.nanoCPUs, l.machine.nanoCPUs, l.taken.nanoCPUs, cpus) {
		l.taken.nanoCPUs += r.nanoCPUs
	}
	if fits(l, name, r.memory, l.machine.memory, l.taken.memory, memory) {
		l.taken.memory += r.memory
	}
	wanted := r.gpus
	if wanted == allGPUs {
		wanted = max(1, l.machine.gpus)
	}
	if fits(l, name, wanted, l.machine.gpus, l.taken.gpus, gpus) {
		l.taken.gpus += wanted
	}
}

func fits[N int | int64](l *ledger, name string, wanted, has, taken N, write func(N) string) bool {
	switch {
	case wanted <= has-taken || wanted == 0:
		return true
	case wanted > has:
		l.refuse("%s: reserves %s, but the machine has %s", name, write(wanted), write(has))
	default:
		l.refuse("%s: reserves %s, but of the machine's %s only %s are free", name, write(wanted), write(has), write(max(0, has-taken)))
	}
	return false
}

func (l *ledger) refuse(format string, args ...any) {
	l.refused = append(l.refused, fmt.Sprintf(format, args...))
}

func cpus(nano int64) string {
	n := strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64)
	return n + plural(" cpu", n == "1")
}

func memory(bytes int64) string { return units.BytesSize(float64(bytes)) + " of memory" }

func gpus(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n) + plural(" gpu", n == 1)
}

func plural(noun string, one bool) string {
	if one {
		return noun
	}
	return noun + "s"
}
