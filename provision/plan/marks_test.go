package plan

import (
	"maps"
	"slices"
	"testing"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
)

// claimedBy returns a container with these labels, whose claim is 4 cpus, a pinned
// one and a part of a GPU.
func claimedBy(id string, on map[string]string) Container {
	return Container{ID: id, Name: id, Labels: on, State: "running", Running: true, Sees: []string{"GPU-1"}, Claim: ledger.Claim{
		Amounts: ledger.Amounts{NanoCPUs: 4e9, Memory: 1 << 30}, Pinned: []int{0}, GPUs: []box.Hold{{UUID: "GPU-1", Budget: 1}},
	}}
}

func hostLabels() map[string]string {
	return map[string]string{
		labels.Project: "lab", labels.Service: "a", labels.Config: "{}",
		labels.CPUs: "4000000000", labels.GPUMemory: "1", labels.Pinned: "exclusive",
	}
}

// The attack: somebody runs a container with labels that reserve a negative amount,
// so that more is planned than exists; or a huge amount, so that nothing is left; or
// a budget of one byte, to get onto another's GPU.
func TestAttackByForeignReservations(t *testing.T) {
	ours := Marks{Secret: []byte("ours"), Unmarked: []string{"old"}}
	with := func(change func(map[string]string)) map[string]string {
		on := hostLabels()
		on[labels.Mark] = ours.Of(on)
		change(on)
		return on
	}
	same := func(map[string]string) {}
	for name, c := range map[string]struct {
		id   string
		on   map[string]string
		made bool
	}{
		"provision's own":              {"new", with(same), true},
		"an older version's":           {"old", hostLabels(), true},
		"no mark, and later":           {"late", hostLabels(), false},
		"no project":                   {"plain", map[string]string{labels.CPUs: "-99"}, false},
		"a mark of another secret":     {"x", with(func(on map[string]string) { on[labels.Mark] = Marks{Secret: []byte("theirs")}.Of(on) }), false},
		"another's mark, other number": {"x", with(func(on map[string]string) { on[labels.CPUs] = "-99000000000" }), false},
		"another's mark, more labels":  {"x", with(func(on map[string]string) { on[labels.Service] = "b" }), false},
		"an empty mark":                {"x", with(func(on map[string]string) { on[labels.Mark] = "" }), false},
	} {
		before := claimedBy(c.id, c.on)
		got := ours.Judge([]Container{before})[0]
		if c.made != (got.Claim.NanoCPUs == 4e9 && got.Claim.Pinned != nil && got.Claim.GPUs[0].Budget == 1 && !got.Foreign) {
			t.Errorf("%s: %+v", name, got.Claim)
		}
		if !c.made && (got.Claim.NanoCPUs != 0 || got.Claim.Pinned != nil || got.Claim.GPUs[0].Budget != 0 || got.Claim.Memory != 1<<30) {
			t.Errorf("%s: it is believed: %+v", name, got.Claim)
		}
		if before.Claim.GPUs[0].Budget != 1 {
			t.Errorf("%s: what was handed over is changed", name)
		}
		if got.Running, got.State = false, "exited"; got.Counts() != c.made {
			t.Errorf("%s: stopped, it counts: %v", name, got.Counts())
		}
	}
}

// Containers that are older than marks stay in the books, unless their numbers are
// impossible.
func TestContainersOfAnOlderVersionKeepCounting(t *testing.T) {
	b := box.Box{Engine: box.Engine{NanoCPUs: 8e9}, Inventory: box.Inventory{GPUs: []box.GPU{{UUID: "GPU-1", Memory: 80 << 30}}}}
	var all []Container
	add := func(id string, change map[string]string) {
		on := hostLabels()
		maps.Copy(on, change)
		all = append(all, claimedBy(id, on))
	}
	add("sane", nil)
	add("without a gpu", map[string]string{labels.GPUMemory: ""})
	add("negative", map[string]string{labels.CPUs: "-1"})
	add("more than there is", map[string]string{labels.CPUs: "9000000000"})
	add("overflow", map[string]string{labels.CPUs: "99999999999999999999"})
	add("more than a card", map[string]string{labels.GPUMemory: "99000000000000"})
	add("no number", map[string]string{labels.GPUMemory: "all"})
	add("no project", map[string]string{labels.Project: ""})
	if got := Unmarked(all, b); !slices.Equal(got, []string{"sane", "without a gpu"}) {
		t.Errorf("got %q", got)
	}
}
