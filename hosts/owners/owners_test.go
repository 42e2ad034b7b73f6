package owners

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/hosts"
)

type carrier struct {
	owner, name string
	runs        bool
}

func newNames(t *testing.T) Names[carrier] {
	t.Helper()
	return Names[carrier]{
		State:   openState(t),
		Log:     slog.New(slog.DiscardHandler),
		Kind:    "container",
		Judge:   "somebody",
		KeptAs:  func(name string) string { return name + ".box" },
		Owner:   func(c carrier) string { return c.owner },
		Called:  func(c carrier) string { return c.name },
		Runs:    func(c carrier) bool { return c.runs },
		IsBrief: func(owner string) bool { return strings.HasPrefix(owner, "alone") },
	}
}

// The attack: somebody's container carries the name of a host that people are granted, while
// its owner's is stopped, or gone, or beside it.
func TestANameLeadsToItsOwnersCarrierAlone(t *testing.T) {
	mine, stopped := carrier{"mine", "a", true}, carrier{"mine", "b", false}
	evil, more := carrier{"evil", "e", true}, carrier{"more", "m", true}
	for _, c := range []struct {
		owner    string // "": nobody yet
		carriers []carrier
		want     string // the carrier's name, or what the error says
		kept     string // whose the name is afterwards
	}{
		{"", []carrier{mine}, "a", "mine"},
		{"mine", []carrier{mine, stopped}, "a", "mine"},
		{"mine", []carrier{evil, stopped}, "b", "mine"},
		{"mine", []carrier{evil}, "is not entered: its name belongs to mine, and container e carries it now; if it is to have it, somebody runs: berth-gateway forget lab.box", "mine"},
		{"mine", []carrier{evil, more}, "is ambiguous: containers e and m both carry its label", "mine"},
		{"mine", []carrier{mine, mine}, "is ambiguous: containers a and a both carry its label", "mine"},
		{"", []carrier{evil, mine}, "is ambiguous: containers e and a both carry its label", ""},
		{"alone", []carrier{mine}, "a", "mine"},
		{"alone", []carrier{evil, mine}, "is ambiguous: containers e and a both carry its label", "alone"},
	} {
		n := newNames(t)
		if c.owner != "" {
			if err := n.State.GiveHost("lab.box", c.owner); err != nil {
				t.Fatal(err)
			}
		}
		picked, err := n.Pick("lab", c.carriers)
		got := picked.name
		if why := hosts.AsUnreachable(err); why != nil {
			got = why.Why
		}
		if kept, _ := n.State.Owner("lab.box"); got != c.want || kept != c.kept {
			t.Errorf("%q's, carried by %v: got %s, kept as %q's; want %s, %q's", c.owner, c.carriers, got, kept, c.want, c.kept)
		}
	}
}

func TestANameIsItsFirstCarriers(t *testing.T) {
	mine, evil := carrier{"mine", "a", true}, carrier{"evil", "e", true}
	n := newNames(t)
	for _, c := range []struct {
		carriers []carrier
		want     string
	}{{nil, ""}, {[]carrier{mine, evil}, ""}, {[]carrier{mine, mine}, "mine"}, {[]carrier{evil}, "mine"}} {
		n.Claim("lab", c.carriers)
		if kept, err := n.State.Owner("lab.box"); err != nil || kept != c.want {
			t.Errorf("carried by %v: kept as %q's, want %q's; %v", c.carriers, kept, c.want, err)
		}
	}
	if _, err := n.Pick("no/name", []carrier{mine}); !strings.Contains(err.Error(), "cannot read whose its name is") {
		t.Errorf("a name that cannot be kept: %v", err)
	}
}
