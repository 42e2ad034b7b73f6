package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/labels"
)

// Hosts that are recreated together are all old or all new, wherever the run was
// interrupted. A container in another one's namespace starts after that one.
func TestASwitchIsUndoneOrFinishedAsAWhole(t *testing.T) {
	at := func(id, name, state, replaces, livesIn string) Container {
		c := Container{ID: id, Name: name, State: state, Running: state == "running", Labels: map[string]string{labels.Project: "p"}}
		if replaces != "" {
			c.Labels[labels.Replaces], c.Labels[labels.Switch] = replaces, "one"
		}
		if livesIn != "" {
			c.HostConfig.PidMode = container.PidMode("container:" + livesIn)
		}
		return c
	}
	const newA, newB, newZ = "p-a-1.new-00000000", "p-b-1.new-00000000", "p-z-1.new-00000000"
	for name, c := range map[string]struct {
		have []Container
		want []string
	}{
		"before the old ones stop": {
			[]Container{at("A", "p-a-1", "running", "", "Z"), at("A2", newA, "created", "A", "Z2"), at("Z", "p-z-1", "running", "", ""), at("Z2", newZ, "created", "Z", "")},
			[]string{"undo Z2", "undo A2"},
		},
		"when one new one is up": {
			[]Container{at("A", "p-a-1", "exited", "", "Z"), at("A2", newA, "created", "A", "Z2"), at("Z", "p-z-1", "exited", "", ""), at("Z2", newZ, "running", "Z", "")},
			[]string{"stop Z2", "undo Z2", "undo A2"},
		},
		"when all new ones are up": {
			[]Container{at("A", "p-a-1", "exited", "", "Z"), at("A2", newA, "running", "A", "Z2"), at("Z", "p-z-1", "exited", "", ""), at("Z2", newZ, "running", "Z", "")},
			[]string{"finish Z2", "finish A2"},
		},
		"when one has its name, and the engine was killed": {
			[]Container{at("A", "p-a-1", "exited", "", "Z"), at("A2", newA, "exited", "A", "Z2"), at("Z2", "p-z-1", "running", "Z", "")},
			[]string{"finish A2"},
		},
		"when one is about to have it": {
			[]Container{at("A", "p-a-1.old-00000000", "exited", "", ""), at("A2", newA, "exited", "A", ""), at("B", "p-b-1", "exited", "", ""), at("B2", newB, "exited", "B", "")},
			[]string{"finish A2", "finish B2"},
		},
		"with two successors": {
			[]Container{at("A", "p-a-1", "exited", "", ""), at("A2", newA, "created", "A", ""), at("A3", newA, "running", "A", "")},
			[]string{"undo A2", "finish A3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range Recover("p", Observed{Containers: c.have}).Steps {
				got = append(got, fmt.Sprintf("%s %s", s.Op, s.ID))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
