// Package ledger decides who gets what of a box: it is given an [Ask], and answers
// with an [Allocation] or with the reasons why there is none.
//
// It is pure: its caller passes in the claims, which are read from the containers.
package ledger

import (
	"math"
	"slices"

	"github.com/berth-ssh/berth/box"
)

// Ledger is a box, and who holds what of it. Its claims grow with each
// allocation. It is for one goroutine.
type Ledger struct {
	box     box.Box
	claims  []Claim
	sum     Amounts           // of the claims
	holds   map[string][]hold // by the device's UUID
	pinning []int             // the claims that pin cpus
}

// Claim is what a container holds of the box, from when it is created until it
// is removed.
type Claim struct {
	Holder string // as refusals name it
	Amounts
	GPUs   []box.Hold
	Pinned []int // cpus
}

// Allocation is what of the box an ask is given by name.
type Allocation struct {
	Devices []box.Device
	CPUs    []int
}

// New is the ledger of a box on which these claims are held.
func New(b box.Box, claims ...Claim) *Ledger {
	l := &Ledger{box: b, holds: map[string][]hold{}}
	for _, c := range claims {
		l.Hold(c)
	}
	return l
}

// Hold writes a claim down, whether there is room for it or not: it is held already.
func (l *Ledger) Hold(c Claim) {
	if len(c.Pinned) > 0 {
		l.pinning = append(l.pinning, len(l.claims))
	}
	l.claims = append(l.claims, c)
	l.sum.NanoCPUs += c.NanoCPUs
	l.sum.Memory += c.Memory
	for _, h := range c.GPUs {
		l.holds[h.UUID] = append(l.holds[h.UUID], hold{h, c.Holder})
	}
}

// Allocate gives an ask what it wants, and writes the claim down; or it returns
// the refusals, a line for each thing that stands in the way, and writes nothing
// down, so that its answers to later asks stay true.
func (l *Ledger) Allocate(a Ask) (given Allocation, refusals []string) {
	refusals = slices.Concat(
		checkLimit(cpus, a.Limit, a.Reserved, l.box.NanoCPUs),
		checkLimit(memory, a.Limit, a.Reserved, math.MaxInt64), // the engine takes any
		l.checkReservation(cpus, a.Reserved, l.box.NanoCPUs),
		l.checkReservation(memory, a.Reserved, l.box.Memory),
	)
	var line string
	if given.Devices, line = l.devicesFor(a.GPUs, a.Had); line != "" {
		refusals = append(refusals, line)
	}
	if a.Pin {
		if given.CPUs, line = l.pin(int(a.Reserved.NanoCPUs/1e9), a.Had.Pinned); line != "" {
			refusals = append(refusals, line)
		}
	}
	if len(refusals) > 0 {
		return Allocation{}, refusals
	}
	c := Claim{Holder: "host " + a.Host, Amounts: a.Reserved, Pinned: given.CPUs}
	for _, d := range given.Devices {
		c.GPUs = append(c.GPUs, box.Hold{UUID: d.UUID, Budget: a.GPUs.Budget()})
	}
	l.Hold(c)
	return given, nil
}
