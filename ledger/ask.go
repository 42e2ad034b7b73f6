package ledger

import (
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/box"
)

// Ask is what a host wants of the box.
type Ask struct {
	Host     string
	Reserved Amounts
	Limit    Amounts // 0 is none
	GPUs     GPUAsk
	Pin      bool  // Reserved.NanoCPUs, a whole number of cpus, on cores of its own
	Had      Claim // what it holds already and gives back; it is given the same again where that is free
}

// Amounts are of what can be divided as one likes.
type Amounts struct {
	NanoCPUs int64
	Memory   int64 // bytes
}

// Every is the count of a GPUAsk for each device that suits.
const Every = -1

// GPUAsk says how many devices a host wants, and which would do.
type GPUAsk struct {
	Count  int64    // or Every
	IDs    []string // names as box.Inventory.Resolve takes them, instead of a count
	Model  string   // part of the model's name
	Memory int64    // bytes that each has at least; where it shares, the budget on each
	Share  bool
	MIG    string // profile of an instance; "" asks for whole cards
}

// None reports whether no device is asked for.
func (a GPUAsk) None() bool { return a.Count == 0 && len(a.IDs) == 0 }

// Budget is how many bytes of each device's memory are wanted, 0 for the whole
// device.
func (a GPUAsk) Budget() int64 {
	if a.Share {
		return a.Memory
	}
	return 0
}

func (a GPUAsk) suits(d box.Device) bool {
	return d.Profile == a.MIG && d.Memory >= a.Memory &&
		strings.Contains(strings.ToLower(d.Model), strings.ToLower(a.Model))
}

// String is the ask as refusals and plans have it: 2 H200 with 80GiB.
func (a GPUAsk) String() string {
	what, many := "gpu", "s"
	switch {
	case len(a.IDs) > 0:
		return "gpu " + strings.Join(a.IDs, " and ")
	case a.MIG != "":
		what = "MIG " + a.MIG
		many = ""
	case a.Model != "":
		what = a.Model
		many = ""
	}
	text := strconv.FormatInt(a.Count, 10) + " " + what
	if a.Count == Every {
		text = "every " + what
	} else if a.Count != 1 {
		text += many
	}
	switch {
	case a.Share:
		text += ", shared, with " + box.Bytes(a.Memory) + " on it"
	case a.Memory > 0:
		text += " with " + box.Bytes(a.Memory)
	}
	return text
}
