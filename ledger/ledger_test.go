package ledger

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/box"
)

// lab is a box with 8 cpus on 4 cores of 2 nodes, 64 GiB, two cards of a kind, a
// smaller one, one that is broken, and one that is partitioned.
func lab() box.Box {
	card := func(uuid, model string, gib int64) box.GPU {
		return box.GPU{UUID: uuid, Model: model, Memory: gib << 30}
	}
	broken := card("GPU-broken", "NVIDIA H200", 140)
	broken.Recovery = "Reset"
	parted := card("GPU-parted", "NVIDIA H100", 80)
	parted.MIG = true
	parted.Instances = []box.MIGInstance{{UUID: "MIG-1", Profile: "1g.10gb", Memory: 10 << 30}, {UUID: "MIG-2", Profile: "1g.10gb", Memory: 10 << 30}}
	return box.Box{
		Engine:    box.Engine{NanoCPUs: 8e9, Memory: 64 << 30},
		Inventory: box.Inventory{GPUs: []box.GPU{card("GPU-a000", "NVIDIA H200", 140), card("GPU-b000", "NVIDIA H200", 140), card("GPU-small", "NVIDIA L40S", 45), broken, parted}},
		Cores:     []box.Core{{Node: 0, CPUs: []int{0, 4}}, {Node: 0, CPUs: []int{1, 5}}, {Node: 1, CPUs: []int{2, 6}}, {Node: 1, CPUs: []int{3, 7}}},
	}
}

func holding(holder string, holds ...box.Hold) Claim { return Claim{Holder: holder, GPUs: holds} }

func whole(uuid string) box.Hold { return box.Hold{UUID: uuid} }

func part(uuid string, gib int64) box.Hold { return box.Hold{UUID: uuid, Budget: gib << 30} }

func uuids(devices []box.Device) string {
	var all []string
	for _, d := range devices {
		all = append(all, d.UUID)
	}
	return strings.Join(all, " ")
}

func TestWhichDevicesAnAskIsGiven(t *testing.T) {
	share := func(gib int64) GPUAsk { return GPUAsk{Count: 1, Share: true, Memory: gib << 30} }
	for name, c := range map[string]struct {
		held []Claim
		ask  Ask
		want string // or how the refusal begins
	}{
		"none":                              {ask: Ask{}, want: ""},
		"the smallest that suits":           {ask: Ask{GPUs: GPUAsk{Count: 1}}, want: "GPU-small"},
		"by model":                          {ask: Ask{GPUs: GPUAsk{Count: 2, Model: "h200"}}, want: "GPU-a000 GPU-b000"},
		"by memory":                         {ask: Ask{GPUs: GPUAsk{Count: 1, Memory: 80 << 30}}, want: "GPU-a000"},
		"by profile":                        {held: []Claim{holding("x", whole("MIG-1"))}, ask: Ask{GPUs: GPUAsk{Count: 1, MIG: "1g.10gb"}}, want: "MIG-2"},
		"what it had":                       {ask: Ask{GPUs: GPUAsk{Count: 1}, Had: holding("it", whole("GPU-b000"))}, want: "GPU-b000"},
		"what it had is another's":          {held: []Claim{holding("x", whole("GPU-b000"))}, ask: Ask{GPUs: GPUAsk{Count: 1, Model: "H200"}, Had: holding("it", whole("GPU-b000"))}, want: "GPU-a000"},
		"by two names of one":               {ask: Ask{GPUs: GPUAsk{IDs: []string{"0", "GPU-a000", "0"}}}, want: "GPU-a000"},
		"by name":                           {ask: Ask{GPUs: GPUAsk{IDs: []string{"1", "GPU-small"}}}, want: "GPU-b000 GPU-small"},
		"a budget beside another's":         {held: []Claim{holding("x", part("GPU-b000", 60))}, ask: Ask{GPUs: share(80)}, want: "GPU-b000"},
		"a budget on a card of its own":     {held: []Claim{holding("x", part("GPU-b000", 61))}, ask: Ask{GPUs: share(80)}, want: "GPU-a000"},
		"no budget on a card that is whole": {held: []Claim{holding("x", whole("GPU-a000"))}, ask: Ask{GPUs: share(80)}, want: "GPU-b000"},
		"each of a kind":                    {ask: Ask{GPUs: GPUAsk{Count: Every, Model: "L40S"}}, want: "GPU-small"},
		"each, one of them broken":          {ask: Ask{GPUs: GPUAsk{Count: Every, Model: "H200"}}, want: "reserves every H200, but 2 of the box's 3 are left: GPU-broken (NVIDIA H200) does not work until a reset"},
		"more than there are":               {ask: Ask{GPUs: GPUAsk{Count: 2, Model: "L40S"}}, want: "reserves 2 L40S, but the box has 3 NVIDIA H200 of 140GiB, 1 NVIDIA L40S of 45GiB, 2 MIG 1g.10gb of 10GiB"},
		"more than are left": {held: []Claim{holding("host x", whole("GPU-small"))}, ask: Ask{GPUs: GPUAsk{Count: 1, Model: "L40S"}},
			want: "reserves 1 L40S, but none of the box's 1 are left: host x holds GPU-small (NVIDIA L40S)"},
		"a name that is none":       {ask: Ask{GPUs: GPUAsk{IDs: []string{"7"}}}, want: "names GPU 7, but the box has "},
		"a name that is held":       {held: []Claim{holding("host x", part("GPU-a000", 1))}, ask: Ask{GPUs: GPUAsk{IDs: []string{"0"}}}, want: "names GPU 0, which is not free: host x holds 1GiB of the 140GiB of GPU-a000"},
		"a name that does not work": {ask: Ask{GPUs: GPUAsk{IDs: []string{"3"}}}, want: "names GPU 3, which is not free: GPU-broken"},
	} {
		t.Run(name, func(t *testing.T) {
			given, refusals := New(lab(), c.held...).Allocate(c.ask)
			got := uuids(given.Devices)
			if len(refusals) > 0 {
				got = strings.Join(refusals, "\n")
			}
			if got != c.want && !(len(refusals) == 1 && c.want != "" && strings.HasPrefix(got, c.want)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	held := Claim{Holder: "host x", Amounts: Amounts{NanoCPUs: 5e9, Memory: 60 << 30}}
	for want, ask := range map[string]Ask{
		"is limited to 9 cpus, but the box has 8":                                           {Limit: Amounts{NanoCPUs: 9e9}},
		"reserves 2 cpus, but is limited to 1":                                              {Limit: Amounts{NanoCPUs: 1e9}, Reserved: Amounts{NanoCPUs: 2e9}},
		"reserves 9 cpus, but the box has 8":                                                {Reserved: Amounts{NanoCPUs: 9e9}},
		"reserves 4 cpus, but 3 of the box's 8 are left: host x holds 5":                    {Reserved: Amounts{NanoCPUs: 4e9}},
		"reserves 8GiB of memory, but 4GiB of the box's 64GiB are left: host x holds 60GiB": {Reserved: Amounts{Memory: 8 << 30}},
		"reserves 1TiB of memory, but the box has 64GiB":                                    {Reserved: Amounts{Memory: 1 << 40}},
	} {
		l := New(lab(), held)
		if _, refusals := l.Allocate(ask); !slices.Equal(refusals, []string{want}) {
			t.Errorf("got %q, want %q", refusals, want)
		}
		if len(l.claims) != 1 {
			t.Errorf("%s: refused, and written down", want)
		}
	}
	if _, refusals := New(lab(), held).Allocate(Ask{Limit: Amounts{Memory: 1 << 50}, Reserved: Amounts{NanoCPUs: 3e9, Memory: 4 << 30}}); refusals != nil {
		t.Errorf("all that is left: %q", refusals)
	}
}

func TestWhatIsGivenIsHeld(t *testing.T) {
	l := New(lab())
	ask := Ask{Host: "one", Reserved: Amounts{NanoCPUs: 2e9}, Pin: true, GPUs: GPUAsk{Count: 1, MIG: "1g.10gb"}}
	first, _ := l.Allocate(ask)
	second, _ := l.Allocate(ask)
	if uuids(first.Devices)+" "+uuids(second.Devices) != "MIG-1 MIG-2" || slices.Equal(first.CPUs, second.CPUs) {
		t.Errorf("given %+v, then %+v", first, second)
	}
	_, refusals := l.Allocate(ask)
	if want := "reserves 1 MIG 1g.10gb, but none of the box's 2 are left: host one holds MIG-1 (MIG 1g.10gb of NVIDIA H100), host one holds MIG-2 (MIG 1g.10gb of NVIDIA H100)"; !slices.Equal(refusals, []string{want}) {
		t.Errorf("got %q, want %q", refusals, want)
	}
}

func TestWhichCoresAnAskIsPinnedTo(t *testing.T) {
	pinned := func(cpus ...int) Claim { return Claim{Holder: "host x", Pinned: cpus} }
	for name, c := range map[string]struct {
		held   []Claim
		cpus   int64
		had    []int
		want   []int
		refuse string
	}{
		"whole cores":                      {cpus: 1, want: []int{0, 4}},
		"of one node":                      {cpus: 4, want: []int{0, 4, 1, 5}},
		"the node with the fewest left":    {held: []Claim{pinned(2)}, cpus: 2, want: []int{3, 7}},
		"a node that has enough":           {held: []Claim{pinned(0)}, cpus: 4, want: []int{2, 6, 3, 7}},
		"those it had":                     {cpus: 2, had: []int{3, 7}, want: []int{3, 7}},
		"of both where it must be":         {cpus: 6, want: []int{0, 4, 1, 5, 2, 6}},
		"no core that another's cpu is on": {held: []Claim{pinned(0, 1, 2)}, cpus: 4, refuse: "pins 4 cpus, but 2 of the box's 8 are on cores without a pinned host: host x holds 0-2"},
	} {
		t.Run(name, func(t *testing.T) {
			ask := Ask{Pin: true, Reserved: Amounts{NanoCPUs: c.cpus * 1e9}, Had: Claim{Pinned: c.had}}
			given, refusals := New(lab(), c.held...).Allocate(ask)
			if !slices.Equal(given.CPUs, c.want) || strings.Join(refusals, "\n") != c.refuse {
				t.Errorf("got %v, %q; want %v, %q", given.CPUs, refusals, c.want, c.refuse)
			}
		})
	}
}

func TestABoxThatCannotBeCountedGivesNothingByName(t *testing.T) {
	b := box.Box{Engine: box.Engine{NanoCPUs: 8e9, Memory: 64 << 30}, NoGPUs: "the driver hangs", NoCores: "no /sys"}
	_, refusals := New(b).Allocate(Ask{Reserved: Amounts{NanoCPUs: 1e9}, Pin: true, GPUs: GPUAsk{Count: 1}})
	want := []string{"reserves 1 gpu, but the GPUs cannot be counted: the driver hangs", "pins 1 cpus, but the cores of the box are not known: no /sys"}
	if !slices.Equal(refusals, want) {
		t.Errorf("got %q, want %q", refusals, want)
	}
}

func TestCollisions(t *testing.T) {
	for name, c := range map[string]struct {
		held []Claim
		want string
	}{
		"two on a whole device":     {[]Claim{holding("a", whole("GPU-small")), holding("b", whole("GPU-small"))}, "GPU GPU-small is held more than once: a holds GPU-small (NVIDIA L40S), b holds GPU-small (NVIDIA L40S)"},
		"a part of a whole device":  {[]Claim{holding("a", whole("GPU-small")), holding("b", part("GPU-small", 1))}, "GPU GPU-small is held more than once: a holds GPU-small (NVIDIA L40S), b holds 1GiB of the 45GiB of GPU-small (NVIDIA L40S)"},
		"parts that do not fit":     {[]Claim{holding("a", part("GPU-small", 40)), holding("b", part("GPU-small", 6))}, "GPU GPU-small is held more than once: a holds 40GiB of the 45GiB of GPU-small (NVIDIA L40S), b holds 6GiB of the 45GiB of GPU-small (NVIDIA L40S)"},
		"parts that do":             {[]Claim{holding("a", part("GPU-small", 40)), holding("b", part("GPU-small", 5))}, ""},
		"one alone":                 {[]Claim{holding("a", whole("GPU-small"))}, ""},
		"a device that is not here": {[]Claim{holding("a", whole("GPU-x")), holding("b", whole("GPU-x"))}, ""},
	} {
		if got := strings.Join(New(lab(), c.held...).Collisions(), "\n"); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// A refusal is a line for a person, however many hold something.
func TestARefusalNamesNotEverybody(t *testing.T) {
	l := New(box.Box{Engine: box.Engine{NanoCPUs: 8e9}})
	refused := ""
	for i := range 1000 {
		_, lines := l.Allocate(Ask{Host: strconv.Itoa(i), Reserved: Amounts{NanoCPUs: 1e7}})
		refused = strings.Join(lines, "\n")
	}
	want := "host 19 holds 0.01 and others"
	if !strings.HasPrefix(refused, "reserves 0.01 cpus, but 0 of the box's 8 are left: host 0 holds 0.01") || !strings.HasSuffix(refused, want) {
		t.Errorf("got %s", refused)
	}
}
