package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/berth-ssh/berth/box"
)

// pin finds whole cores for so many cpus, or says why it cannot: those it had,
// else of one node, of the one with the fewest left that suffice.
func (l *Ledger) pin(wanted int, had []int) (given []int, refusal string) {
	if l.box.NoCores != "" {
		return nil, fmt.Sprintf("pins %d cpus, but the cores of the box are not known: %s", wanted, l.box.NoCores)
	}
	pinned := map[int]bool{}
	var holders []string
	for _, i := range l.pinning {
		c := l.claims[i]
		for _, cpu := range c.Pinned {
			pinned[cpu] = true
		}
		holders = append(holders, c.Holder+" holds "+box.FormatCPUs(c.Pinned))
	}
	free := slices.DeleteFunc(slices.Clone(l.box.Cores), func(c box.Core) bool {
		return slices.ContainsFunc(c.CPUs, func(cpu int) bool { return pinned[cpu] })
	})
	if box.CountCPUs(free) < wanted {
		return nil, fmt.Sprintf("pins %d cpus, but %d of the box's %d are on cores without a pinned host%s",
			wanted, box.CountCPUs(free), box.CountCPUs(l.box.Cores), afterColon(holders))
	}
	left := map[int]int{} // cpus of each node
	for _, c := range free {
		left[c.Node] += len(c.CPUs)
	}
	slices.SortStableFunc(free, func(one, two box.Core) int {
		return cmp.Or(
			first(slices.Contains(had, one.CPUs[0]), slices.Contains(had, two.CPUs[0])),
			first(left[one.Node] >= wanted, left[two.Node] >= wanted),
			cmp.Compare(left[one.Node], left[two.Node]),
			cmp.Compare(one.Node, two.Node),
		)
	})
	for _, c := range free {
		if len(given) < wanted {
			given = append(given, c.CPUs...)
		}
	}
	return given, ""
}
