package plan

import (
	"strings"
	"testing"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
)

// A plan that was shown before the question is carried out after it only if it is
// still the same; otherwise it is shown again.
func TestPlansAreTheSameWhereTheyDoTheSame(t *testing.T) {
	one := func() Plan {
		return Plan{
			Steps: []Step{
				{Op: OpRemove, Kind: KindContainer, Name: "c", ID: "1", Cause: "its image changed"},
				{Op: OpCreate, Kind: KindContainer, Name: "c", Cause: "its image changed", Given: ledger.Allocation{Devices: []box.Device{{UUID: "GPU-1"}}, CPUs: []int{0}}},
			},
			Kept:     []Kept{{Container: "d", Cause: "hostname gone", Users: []string{"ada"}}},
			Warnings: []string{"a"},
		}
	}
	if !one().SameAs(one()) {
		t.Error("a plan is not the same as itself")
	}
	for what, change := range map[string]func(*Plan){
		"a step less":       func(p *Plan) { p.Steps = p.Steps[:1] },
		"another operation": func(p *Plan) { p.Steps[0].Op = OpStop },
		"another container": func(p *Plan) { p.Steps[0].ID = "2" },
		"another cause":     func(p *Plan) { p.Steps[1].Cause = "hostname gone" },
		"another GPU":       func(p *Plan) { p.Steps[1].Given.Devices[0].UUID = "GPU-2" },
		"other cpus":        func(p *Plan) { p.Steps[1].Given.CPUs[0] = 1 },
		"nothing kept":      func(p *Plan) { p.Kept = nil },
		"somebody else":     func(p *Plan) { p.Kept[0].Users[0] = "bob" },
		"another warning":   func(p *Plan) { p.Warnings[0] = "b" },
	} {
		other := one()
		change(&other)
		if one().SameAs(other) {
			t.Errorf("%s, and still the same", what)
		}
	}
}

// The attack: a container has labels of its image, which anybody may have made. They
// must neither control root's terminal nor forge a line of the plan.
func TestAttackByAnImagesLabels(t *testing.T) {
	evil := "x\x1b[2J\nwarning: none\u202e"
	c := Container{Name: "c", Running: true, Labels: map[string]string{
		labels.Host: evil, labels.Project: evil, labels.Service: evil, labels.ComposeProject: evil, labels.ComposeService: evil,
	}}
	p := Plan{
		Steps:    []Step{{Op: OpRemove, Kind: KindContainer, Name: evil, Cause: evil}},
		Kept:     []Kept{{Container: "d", Cause: evil, Users: []string{evil}}},
		Warnings: []string{evil}, Notes: []string{evil},
	}
	text := p.String()
	if lines := strings.Count(text, "\n"); lines != 4 || strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("the plan is of %d lines, want 4:\n%q", lines, text)
	}
	for _, got := range []string{c.HostName(), c.Project(), c.Service(), c.ComposeProject(), c.Holder()} {
		if strings.ContainsAny(got, "\x1b\n\u202e") || !strings.Contains(got, "x?[2J warning: none?") {
			t.Errorf("got %q", got)
		}
	}
}

// What nobody was asked about is not done: a host that somebody wrote in meanwhile.
func TestAHostThatNobodyWasAskedAboutIsFound(t *testing.T) {
	now := Plan{Lost: []string{"a", "b"}, Recreated: []string{"c", "d"}}
	for _, c := range []struct {
		shown Plan
		want  string
	}{
		{now, ""},
		{Plan{Recreated: []string{"a", "b"}, Lost: []string{"c", "d", "e"}}, ""},
		{Plan{Lost: []string{"b"}, Recreated: []string{"c"}}, "a d"},
		{Plan{}, "a b c d"},
	} {
		if got := strings.Join(now.Unasked(c.shown), " "); got != c.want {
			t.Errorf("asked about %+v: got %q, want %q", c.shown, got, c.want)
		}
	}
}
