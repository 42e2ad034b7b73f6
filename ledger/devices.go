package ledger

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/box"
)

// devicesFor finds what an ask can have, or says why it cannot.
func (l *Ledger) devicesFor(a GPUAsk, had Claim) (given []box.Device, refusal string) {
	if a.None() {
		return nil, ""
	}
	if l.box.NoGPUs != "" {
		return nil, fmt.Sprintf("reserves %s, but the GPUs cannot be counted: %s", a, l.box.NoGPUs)
	}
	if len(a.IDs) > 0 {
		return l.named(a)
	}
	suited := slices.DeleteFunc(l.box.Devices(), func(d box.Device) bool { return !a.suits(d) })
	count := int(a.Count)
	if a.Count == Every {
		count = max(1, len(suited))
	}
	if len(suited) < count {
		return nil, fmt.Sprintf("reserves %s, but the box has %s", a, l.inventory())
	}
	free := slices.DeleteFunc(slices.Clone(suited), func(d box.Device) bool { return !l.IsFree(d, a.Budget()) })
	if len(free) < count {
		return nil, fmt.Sprintf("reserves %s, but %s of the box's %d are left%s%s", a, orNone(len(free)), len(suited), l.HoldersOf(suited...), l.hint(suited...))
	}
	l.prefer(free, a, had)
	return free[:count], ""
}

// hint says how hosts share a device, where hosts are what holds one of these.
func (l *Ledger) hint(devices ...box.Device) string {
	for _, d := range devices {
		if d.Profile == "" && slices.ContainsFunc(l.holdsOn(d.UUID), func(h hold) bool { return h.Budget == 0 && strings.HasPrefix(h.holder, "host ") }) {
			return "; hosts share one by x-berth.gpu.share"
		}
	}
	return ""
}

func orNone(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

// named are the devices that the ask names itself, each once however often it is named.
func (l *Ledger) named(a GPUAsk) (given []box.Device, refusal string) {
	for _, id := range a.IDs {
		meant := l.box.Resolve(id)
		if len(meant) == 0 {
			return nil, fmt.Sprintf("names GPU %s, but the box has %s", id, l.inventory())
		}
		for _, d := range meant {
			if !l.IsFree(d, a.Budget()) {
				return nil, fmt.Sprintf("names GPU %s, which is not free%s%s", id, l.HoldersOf(d), l.hint(d))
			}
			if !slices.Contains(given, d) {
				given = append(given, d)
			}
		}
	}
	return given, ""
}

// prefer sorts: first what it had, then what suits without being too much. A
// host that shares goes to others that share, so that whole devices stay whole.
func (l *Ledger) prefer(devices []box.Device, a GPUAsk, had Claim) {
	holds := func(d box.Device) bool {
		return slices.ContainsFunc(had.GPUs, func(h box.Hold) bool { return h.UUID == d.UUID })
	}
	slices.SortStableFunc(devices, func(one, two box.Device) int {
		return cmp.Or(
			first(holds(one), holds(two)),
			first(a.Share && l.held(one.UUID) > 0, a.Share && l.held(two.UUID) > 0),
			cmp.Compare(one.Memory, two.Memory),
		)
	})
}

// first compares so that what is true comes before what is not.
func first(one, two bool) int {
	switch {
	case one == two:
		return 0
	case one:
		return -1
	}
	return 1
}

// IsFree reports whether a device works, and has so many bytes left that nobody
// holds; a budget of 0 takes the whole device.
func (l *Ledger) IsFree(d box.Device, budget int64) bool {
	held := l.held(d.UUID)
	switch {
	case d.Broken != "":
		return false
	case budget == 0:
		return held == 0
	}
	return held+budget <= d.Memory
}

// held is how much of a device's memory is promised: all of it where somebody
// has it alone.
func (l *Ledger) held(uuid string) int64 {
	sum := int64(0)
	for _, h := range l.holdsOn(uuid) {
		if h.Budget == 0 {
			return math.MaxInt64 / 2 // and a budget more is no overflow
		}
		sum += h.Budget
	}
	return sum
}

// hold is one of a claim, with its holder.
type hold struct {
	box.Hold
	holder string
}

func (l *Ledger) holdsOn(uuid string) []hold { return l.holds[uuid] }

// HoldersOf says who holds what of these devices, and which do not work: a list
// behind a colon, or "".
func (l *Ledger) HoldersOf(devices ...box.Device) string {
	var held []string
	for _, d := range devices {
		if d.Broken != "" {
			held = append(held, fmt.Sprintf("%s does not work until a %s", d, strings.ToLower(d.Broken)))
		}
		for _, h := range l.holdsOn(d.UUID) {
			if h.Budget == 0 {
				held = append(held, fmt.Sprintf("%s holds %s", h.holder, d))
			} else {
				held = append(held, fmt.Sprintf("%s holds %s of the %s of %s", h.holder, box.Bytes(h.Budget), box.Bytes(d.Memory), d))
			}
		}
	}
	return afterColon(held)
}

// inventory is what the box has, in few words.
func (l *Ledger) inventory() string {
	count, order := map[string]int{}, []string(nil)
	for _, d := range l.box.Devices() {
		name := d.Model
		if d.Profile != "" {
			name = "MIG " + d.Profile
		}
		if d.Memory > 0 {
			name += " of " + box.Bytes(d.Memory)
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

// Collisions returns a line for each device that more was promised of than there
// is. Only somebody beside provision can have done that.
func (l *Ledger) Collisions() []string {
	var lines []string
	for _, d := range l.box.Devices() {
		holds, sum := l.holdsOn(d.UUID), int64(0)
		whole := slices.ContainsFunc(holds, func(h hold) bool { return h.Budget == 0 })
		for _, h := range holds {
			sum += h.Budget
		}
		if len(holds) > 1 && (whole || sum > d.Memory) {
			lines = append(lines, fmt.Sprintf("GPU %s is held more than once%s", d.UUID, l.HoldersOf(d)))
		}
	}
	return lines
}
