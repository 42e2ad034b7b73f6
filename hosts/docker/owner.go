package docker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/printable"
)

// maxOwner is how long the name of an owner is shown, in runes.
const maxOwner = 200

// owner returns whose the container is.
func (f found) owner() string { return labels.Owner(f.labels, f.name) }

// claim keeps in the state directory whose a host name is, when it is first seen:
// a grant says a name, and a person who logs in by it must not end in the container
// of somebody else who took the name later.
func (s *Source) claim(name string) {
	claims := s.known.claims(name)
	if name == "" || len(claims) == 0 || !haveOneOwner(claims) {
		return
	}
	_, err := s.state.ClaimHost(s.ownName(name), claims[0].owner())
	if err != nil {
		s.log.Debug("owner of a host name not kept", "host", name, "err", err)
	}
}

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

func haveOneOwner(claims []found) bool {
	return !slices.ContainsFunc(claims, func(f found) bool { return f.owner() != claims[0].owner() })
}

// ofOwner returns those of a name's containers that are of its owner. A container of
// no project has its name only as long as it is there.
func (s *Source) ofOwner(name string, claims []found) ([]found, error) {
	own := s.ownName(name)
	owner, err := s.state.Owner(own)
	if err != nil {
		return nil, unreachable(name, "cannot be looked up: the gateway cannot read whose its name is", err)
	}
	ofOwner := slices.DeleteFunc(slices.Clone(claims), func(f found) bool { return f.owner() != owner })
	switch {
	case len(ofOwner) > 0:
		return ofOwner, nil
	case !haveOneOwner(claims):
		return nil, ambiguous(name, claims)
	case owner == "" || labels.IsAlone(owner):
		return claims, s.state.GiveHost(own, claims[0].owner())
	}
	return nil, unreachable(name, fmt.Sprintf("is not entered: its name belongs to %s, and container %s carries it now; "+
		"if it is to have it, the box's owner runs: berth-gateway forget %s", printable.Line(owner, maxOwner), claims[0].name, own), nil)
}

func ambiguous(name string, claims []found) error {
	names := fmt.Sprintf("%s and %s", claims[0].name, claims[1].name)
	return unreachable(name, "is ambiguous: containers "+names+" both carry its label", nil)
}
