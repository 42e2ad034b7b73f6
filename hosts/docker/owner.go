package docker

import (
	"strings"

	"github.com/berth-ssh/berth/hosts/owners"
	"github.com/berth-ssh/berth/labels"
)

// owners keeps the host names on containers. A container of no project has its name only as
// long as it is there.
func (s *Source) owners() owners.Names[found] {
	return owners.Names[found]{
		State:   s.state,
		Log:     s.log,
		Kind:    "container",
		Judge:   "the box's owner",
		KeptAs:  s.ownName,
		Owner:   func(f found) string { return labels.Owner(f.labels, f.name) },
		Called:  func(f found) string { return f.name },
		Runs:    func(f found) bool { return f.running },
		IsBrief: labels.IsAlone,
	}
}

// claim makes a name its container's, when it is first seen.
func (s *Source) claim(name string) { s.owners().Claim(name, s.known.claims(name)) }

// ownName is the name by which the owner of a host of this engine is kept. Of another
// box that is name.box: whose the plain name is, package hosts/boxes decides. So it is on
// this machine, where the plain name is another box's, or may read as name.box.
func (s *Source) ownName(name string) string {
	if s.box == "" {
		return name
	}
	if strings.Contains(name, ".") {
		return name + "." + s.box
	}
	if owner, err := s.state.Owner(name); !s.isElsewhere() && err == nil && !labels.IsBox(owner) {
		return name
	}
	return name + "." + s.box
}
