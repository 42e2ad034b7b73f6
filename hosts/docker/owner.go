package docker

import (
	"github.com/berth-ssh/berth/hosts/owners"
	"github.com/berth-ssh/berth/labels"
)

// owners stores the owners of host names. A container without a project owns its name
// only as long as it exists.
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

// claim makes a name belong to its container when that is seen for the first time.
func (s *Source) claim(name string) { s.owners().Claim(name, s.known.claims(name)) }
