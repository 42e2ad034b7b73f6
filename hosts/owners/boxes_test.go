package owners

import (
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"
)

func openState(t *testing.T) *state.State {
	t.Helper()
	st, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// The attack: a container of this machine is labelled master.a, so that the owner of host
// master on box a is thought to be its own.
func TestAttackOnTheOwnerOfAHostOnAnotherBox(t *testing.T) {
	st := openState(t)
	if err := st.GiveHost("taken", labels.OwnerBox("a")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ box, name, want string }{
		{"", "master", "master"}, {"", "master.a", "master.a"},
		{hosts.LocalBox, "master", "master"}, {hosts.LocalBox, "master.a", "master.a.local"}, {hosts.LocalBox, "taken", "taken.local"},
		{"a", "master", "master.a"}, {"a", "master.b", "master.b.a"},
	} {
		if got := KeptAs(st, c.box, c.name); got != c.want {
			t.Errorf("on %q: the owner of %s is kept as that of %s, want %s", c.box, c.name, got, c.want)
		}
	}
}

// A name is given to its owner where it is no other box's, and else its exact name; and it
// is found where it is looked for.
func TestNamesAreGivenOnEachBox(t *testing.T) {
	const mine, others = "service master of project lab", "service master of project other"
	a100 := labels.OwnerBox("a100")
	for _, c := range []struct {
		box, name, before string
		plain, exact      string // whose they are then
		said              string
	}{
		{hosts.LocalBox, "master", "", mine, "", ""},
		{hosts.LocalBox, "master", others, mine, "", ""},
		{hosts.LocalBox, "master", a100, a100, mine, a100},
		{hosts.LocalBox, "gpu.1", "", mine, mine, ""},
		{"a100", "master", "", a100, mine, ""},
		{"a100", "master", a100, a100, mine, ""},
		{"a100", "master", others, others, mine, others},
	} {
		st := openState(t)
		if c.before != "" {
			if err := st.GiveHost(c.name, c.before); err != nil {
				t.Fatal(err)
			}
		}
		said, err := Give(st, c.box, c.name, mine)
		plain, _ := st.Owner(c.name)
		exact, _ := st.Owner(c.name + "." + c.box)
		if err != nil || plain != c.plain || exact != c.exact || said != c.said {
			t.Errorf("%+v: plain %q, exact %q, said %q, %v", c, plain, exact, said, err)
		}
		if kept, _ := st.Owner(KeptAs(st, c.box, c.name)); kept != mine {
			t.Errorf("%+v: looked for as %s it is %q's", c, KeptAs(st, c.box, c.name), kept)
		}
	}
}
