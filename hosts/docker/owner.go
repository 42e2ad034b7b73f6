package docker

import (
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
		KeptAs:  func(name string) string { return owners.KeptAs(s.state, s.box, name) },
		Owner:   func(f found) string { return labels.Owner(f.labels, f.name) },
		Called:  func(f found) string { return f.name },
		Runs:    func(f found) bool { return f.running },
		IsBrief: labels.IsAlone,
	}
}

// claim makes a name its container's, when it is first seen.
func (s *Source) claim(name string) { s.owners().Claim(name, s.known.claims(name)) }
