package ledger

import (
	"fmt"
	"strings"

	"github.com/berth-ssh/berth/box"
)

// kind is a kind of amount.
type kind int

const (
	cpus kind = iota
	memory
)

func (k kind) of(a Amounts) int64 {
	if k == cpus {
		return a.NanoCPUs
	}
	return a.Memory
}

// text is an amount alone: 4, 24GiB.
func (k kind) text(n int64) string {
	if k == cpus {
		return box.CPUs(n)
	}
	return box.Bytes(n)
}

// phrase is an amount of something: 4 cpus, 24GiB of memory.
func (k kind) phrase(n int64) string {
	switch text := k.text(n); {
	case k == memory:
		return text + " of memory"
	case text == "1":
		return "1 cpu"
	default:
		return text + " cpus"
	}
}

// checkLimit says what is wrong with a limit; 0 is none.
func checkLimit(k kind, limits, reserved Amounts, most int64) []string {
	limit := k.of(limits)
	switch {
	case limit > most:
		return []string{fmt.Sprintf("is limited to %s, but the box has %s", k.phrase(limit), k.text(most))}
	case limit > 0 && k.of(reserved) > limit:
		return []string{fmt.Sprintf("reserves %s, but is limited to %s", k.phrase(k.of(reserved)), k.text(limit))}
	}
	return nil
}

// checkReservation says why an amount does not fit beside what is held.
func (l *Ledger) checkReservation(k kind, reserved Amounts, most int64) []string {
	wanted, free := k.of(reserved), max(0, most-k.of(l.sum))
	switch {
	case wanted > most:
		return []string{fmt.Sprintf("reserves %s, but the box has %s", k.phrase(wanted), k.text(most))}
	case wanted > free:
		return []string{fmt.Sprintf("reserves %s, but %s of the box's %s are left%s",
			k.phrase(wanted), k.text(free), k.text(most), l.holdersOf(k))}
	}
	return nil
}

// holdersOf says who has the rest.
func (l *Ledger) holdersOf(k kind) string {
	var held []string
	for _, c := range l.claims {
		if len(held) > mostHolders {
			break
		}
		if amount := k.of(c.Amounts); amount > 0 {
			held = append(held, fmt.Sprintf("%s holds %s", c.Holder, k.text(amount)))
		}
	}
	return afterColon(held)
}

// mostHolders is how many a refusal names.
const mostHolders = 20

// afterColon is a list to go behind a sentence; "" where it is empty. Of a long one it
// is the beginning.
func afterColon(parts []string) string {
	switch {
	case len(parts) == 0:
		return ""
	case len(parts) > mostHolders:
		return ": " + strings.Join(parts[:mostHolders], ", ") + " and others"
	}
	return ": " + strings.Join(parts, ", ")
}
