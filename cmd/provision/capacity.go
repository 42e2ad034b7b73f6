package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/docker/go-units"
)

// kind is a kind of resource, and how an amount of it is written.
type kind struct {
	amount    func(int64) string
	one, many string
}

// refusals are the limits that the engine would refuse, and the reservations
// that do not fit the machine beside what is taken and what the services
// before them reserve: a line each.
func refusals(machine, taken resources, services []wantedService) []string {
	cpu, memory, gpu := kind{inCPUs, "cpu", "cpus"}, kind{inBytes, "of memory", "of memory"}, kind{inPieces, "gpu", "gpus"}
	var lines []string
	for _, s := range services {
		limited := slices.Concat(
			cpu.limit(s.limits.nanoCPUs, s.reserved.nanoCPUs, machine.nanoCPUs),
			memory.limit(s.limits.memory, s.reserved.memory, math.MaxInt64), // the engine takes any
		)
		reserved := slices.Concat(
			cpu.reserve(s.reserved.nanoCPUs, machine.nanoCPUs, &taken.nanoCPUs),
			memory.reserve(s.reserved.memory, machine.memory, &taken.memory),
			gpu.reserve(gpusMeant(s.reserved.gpus, machine.gpus), machine.gpus, &taken.gpus),
		)
		for _, line := range append(limited, reserved...) {
			lines = append(lines, s.name+": "+line)
		}
	}
	return lines
}

// limit says what is wrong with a limit; 0 is none.
func (k kind) limit(limit, reserved, machine int64) []string {
	switch {
	case limit > machine:
		return []string{fmt.Sprintf("is limited to %s, but the machine has %s", k.write(limit), k.amount(machine))}
	case limit > 0 && reserved > limit:
		return []string{fmt.Sprintf("reserves %s, but is limited to %s", k.write(reserved), k.amount(limit))}
	}
	return nil
}

// reserve takes what fits, or says why it does not. What does not fit is not
// taken, so that the lines about later services stay true.
func (k kind) reserve(wanted, machine int64, taken *int64) []string {
	free := max(0, machine-*taken)
	switch {
	case wanted > machine:
		return []string{fmt.Sprintf("reserves %s, but the machine has %s", k.write(wanted), k.amount(machine))}
	case wanted > free:
		return []string{fmt.Sprintf("reserves %s, but %s of the machine's %s are left", k.write(wanted), k.amount(free), k.amount(machine))}
	}
	*taken += wanted
	return nil
}

// gpusMeant: every GPU is as many as there are, and one at least.
func gpusMeant(count, machine int64) int64 {
	if count == allGPUs {
		return max(1, machine)
	}
	return count
}

func (k kind) write(n int64) string {
	if amount := k.amount(n); amount != "1" {
		return amount + " " + k.many
	}
	return "1 " + k.one
}

func inCPUs(nano int64) string { return strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64) }

func inBytes(n int64) string { return units.BytesSize(float64(n)) }

func inPieces(n int64) string {
	if n == 0 {
		return "none"
	}
	return strconv.FormatInt(n, 10)
}
