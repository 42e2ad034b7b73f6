package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// ledger is a machine, and who holds what of it.
type ledger struct {
	machine machine
	claims  []claim
}

// grant is what of the machine a container gets by name.
type grant struct {
	devices []device
	cpus    []int
}

// refusals are what keeps a service from being made: a line each. Where there
// is none the ledger has its claim, and what it was given is returned: what it
// had before, if it can have that.
func (l *ledger) admit(s wantedService, had claim) (given grant, refusals []string) {
	lines := slices.Concat(
		limit(cpuKind(), s.limits.nanoCPUs, s.reserved.nanoCPUs, l.machine.nanoCPUs),
		limit(memoryKind(), s.limits.memory, s.reserved.memory, math.MaxInt64), // the engine takes any
		l.reserve(cpuKind(), s.reserved.nanoCPUs, l.machine.nanoCPUs),
		l.reserve(memoryKind(), s.reserved.memory, l.machine.memory),
	)
	var line string
	if given.devices, line = l.devicesFor(l.machine.meant(s), had.uuids()); line != "" {
		lines = append(lines, line)
	}
	if s.pinned {
		if given.cpus, line = l.pin(int(s.reserved.nanoCPUs/1e9), had.pinned); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) > 0 {
		// What does not fit is not taken, so that the lines about later services stay true.
		return grant{}, lines
	}
	c := claim{holder: "host " + s.host, nanoCPUs: s.reserved.nanoCPUs, memory: s.reserved.memory, pinned: given.cpus}
	for _, d := range given.devices {
		c.gpus = append(c.gpus, gpuClaim{d.uuid, s.gpus.budget()})
	}
	l.claims = append(l.claims, c)
	return given, nil
}

// limit says what is wrong with a limit; 0 is none.
func limit(k kind, limit, reserved, machine int64) []string {
	switch {
	case limit > machine:
		return []string{fmt.Sprintf("is limited to %s, but the machine has %s", k.write(limit), k.amount(machine))}
	case limit > 0 && reserved > limit:
		return []string{fmt.Sprintf("reserves %s, but is limited to %s", k.write(reserved), k.amount(limit))}
	}
	return nil
}

// reserve says why an amount does not fit beside what is held.
func (l *ledger) reserve(k kind, wanted, machine int64) []string {
	free := machine
	for _, c := range l.claims {
		free -= k.of(c)
	}
	free = max(0, free)
	switch {
	case wanted > machine:
		return []string{fmt.Sprintf("reserves %s, but the machine has %s", k.write(wanted), k.amount(machine))}
	case wanted > free:
		return []string{fmt.Sprintf("reserves %s, but %s of the machine's %s are left%s",
			k.write(wanted), k.amount(free), k.amount(machine), l.holders(k))}
	}
	return nil
}

// holders says who has the rest.
func (l *ledger) holders(k kind) string {
	var held []string
	for _, c := range l.claims {
		if amount := k.of(c); amount > 0 {
			held = append(held, fmt.Sprintf("%s holds %s", c.holder, k.amount(amount)))
		}
	}
	return sentence(held)
}

func sentence(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// devicesFor finds what a wish can have, or says why it can not.
func (l *ledger) devicesFor(w gpuWish, had []string) (given []device, refusal string) {
	if w.none() {
		return nil, ""
	}
	if l.machine.noGPUs != "" {
		return nil, fmt.Sprintf("reserves %s, but nobody knows which there are: %s", w, l.machine.noGPUs)
	}
	if len(w.ids) > 0 {
		return l.named(w)
	}
	suited := slices.DeleteFunc(l.machine.devices(), func(d device) bool { return !w.suits(d) })
	count := int(w.count)
	if w.count == allGPUs {
		count = max(1, len(suited))
	}
	if len(suited) < count {
		return nil, fmt.Sprintf("reserves %s, but the machine has %s", w, l.inventory())
	}
	free := slices.DeleteFunc(slices.Clone(suited), func(d device) bool { return !l.isFree(d, w.budget()) })
	if len(free) < count {
		return nil, fmt.Sprintf("reserves %s, but %s of the machine's %d are left%s", w, inPieces(int64(len(free))), len(suited), l.onDevices(suited))
	}
	l.prefer(free, w, had)
	return free[:count], ""
}

// named are the devices that the file names itself.
func (l *ledger) named(w gpuWish) (given []device, refusal string) {
	for _, id := range w.ids {
		meant := l.machine.resolve(id)
		if len(meant) == 0 {
			return nil, fmt.Sprintf("names GPU %s, but the machine has %s", id, l.inventory())
		}
		for _, d := range meant {
			if !l.isFree(d, w.budget()) {
				return nil, fmt.Sprintf("names GPU %s, which is not free%s", id, l.onDevices([]device{d}))
			}
			given = append(given, d)
		}
	}
	return given, ""
}

// prefer sorts: what it had first, then what suits without being too much. A
// sharing host goes to others that share, so that whole devices stay whole.
func (l *ledger) prefer(devices []device, w gpuWish, had []string) {
	slices.SortStableFunc(devices, func(one, two device) int {
		return cmp.Or(
			first(slices.Contains(had, one.uuid), slices.Contains(had, two.uuid)),
			first(w.share && l.held(one.uuid) > 0, w.share && l.held(two.uuid) > 0),
			cmp.Compare(one.memory, two.memory),
		)
	})
}

func first(one, two bool) int {
	switch {
	case one == two:
		return 0
	case one:
		return -1
	}
	return 1
}

// isFree: budget is how much of its memory is wanted, 0 for the whole device.
func (l *ledger) isFree(d device, budget int64) bool {
	held := l.held(d.uuid)
	switch {
	case d.broken != "":
		return false
	case budget == 0:
		return held == 0
	}
	return held+budget <= d.memory
}

// held is how much of a device's memory is promised: all of it where somebody
// has it alone.
func (l *ledger) held(uuid string) int64 {
	sum := int64(0)
	for _, c := range l.claims {
		for _, g := range c.gpus {
			switch {
			case g.uuid != uuid:
			case g.budget == 0:
				return math.MaxInt64 / 2 // and a budget more is no overflow
			default:
				sum += g.budget
			}
		}
	}
	return sum
}

// onDevices says who holds what of these devices, and which do not work.
func (l *ledger) onDevices(devices []device) string {
	var held []string
	for _, d := range devices {
		if d.broken != "" {
			held = append(held, fmt.Sprintf("%s does not work until a %s", d, strings.ToLower(d.broken)))
		}
		for _, c := range l.claims {
			for _, g := range c.gpus {
				switch {
				case g.uuid != d.uuid:
				case g.budget == 0:
					held = append(held, fmt.Sprintf("%s holds %s", c.holder, d))
				default:
					held = append(held, fmt.Sprintf("%s holds %s of the %s of %s", c.holder, inBytes(g.budget), inBytes(d.memory), d))
				}
			}
		}
	}
	return sentence(held)
}

// inventory is what the machine has, in few words.
func (l *ledger) inventory() string {
	count, order := map[string]int{}, []string(nil)
	for _, d := range l.machine.devices() {
		name := d.model
		if d.profile != "" {
			name = "MIG " + d.profile
		}
		if d.memory > 0 {
			name += " of " + inBytes(d.memory)
		}
		if count[name]++; count[name] == 1 {
			order = append(order, name)
		}
	}
	for i, name := range order {
		order[i] = fmt.Sprintf("%d %s", count[name], name)
	}
	if len(order) == 0 {
		return "none"
	}
	return strings.Join(order, ", ")
}

// collisions are devices that more was promised of than there is, which only
// somebody beside provision can have done.
func (l *ledger) collisions() []string {
	var lines []string
	for _, d := range l.machine.devices() {
		holders, sum := 0, int64(0)
		whole := false
		for _, c := range l.claims {
			for _, g := range c.gpus {
				if g.uuid == d.uuid {
					holders, sum, whole = holders+1, sum+g.budget, whole || g.budget == 0
				}
			}
		}
		if holders > 1 && (whole || sum > d.memory) {
			lines = append(lines, fmt.Sprintf("GPU %s is held more than once%s", d.uuid, l.onDevices([]device{d})))
		}
	}
	return lines
}
