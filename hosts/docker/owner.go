package docker

import (
	"fmt"
	"slices"

	"berth/labels"
	"berth/printable"
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
	if _, err := s.state.ClaimHost(name, claims[0].owner()); err != nil {
		s.log.Debug("owner of a host name not kept", "host", name, "err", err)
	}
}

func haveOneOwner(claims []found) bool {
	return !slices.ContainsFunc(claims, func(f found) bool { return f.owner() != claims[0].owner() })
}

// ofOwner returns those of a name's containers that are of its owner. A container of
// no project has its name only as long as it is there.
func (s *Source) ofOwner(name string, claims []found) ([]found, error) {
	owner, err := s.state.Owner(name)
	if err != nil {
		return nil, unreachable(name, "cannot be looked up: the gateway cannot read whose its name is", err)
	}
	own := slices.DeleteFunc(slices.Clone(claims), func(f found) bool { return f.owner() != owner })
	switch {
	case len(own) > 0:
		return own, nil
	case !haveOneOwner(claims):
		return nil, ambiguous(name, claims)
	case owner == "" || labels.IsAlone(owner):
		return claims, s.state.GiveHost(name, claims[0].owner())
	}
	return nil, unreachable(name, fmt.Sprintf("is not entered: its name belongs to %s, and container %s carries it now; "+
		"if it is to have it, the box's owner runs: berth-gateway forget %s", printable.Line(owner, maxOwner), claims[0].name, name), nil)
}

func ambiguous(name string, claims []found) error {
	names := fmt.Sprintf("%s and %s", claims[0].name, claims[1].name)
	return unreachable(name, "is ambiguous: containers "+names+" both carry its label", nil)
}
