// Package owners keeps host names with whose they are. A grant says a name, and a person
// who logs in by it must not end in the container of somebody else who took the name
// later.
//
// What carries a name, on its label, is a container or a pod, whose owner its source
// knows. A name belongs to the owner of the first one that is seen, which is kept in the
// state directory, until the owner of the gateway says otherwise (berth-gateway forget).
package owners

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/state"
)

// maxOwner is how long the name of an owner is shown, in runes.
const maxOwner = 200

// Names are the host names of a source, which carriers C carry.
type Names[C any] struct {
	State *state.State
	Log   *slog.Logger

	Kind  string // what a carrier is, for people: container
	Judge string // who may give a name to another owner, for people

	KeptAs func(name string) string // the name by which its owner is kept
	Owner  func(C) string           // whose a carrier is
	Called func(C) string           // how people call a carrier
	Runs   func(C) bool             // and so is entered where the name is its owner's

	// IsBrief says of an owner that it has a name only as long as it is there; nil: none.
	IsBrief func(owner string) bool
}

// Claim makes a name its carriers', unless it is somebody's or they are of several owners.
func (n Names[C]) Claim(name string, carriers []C) {
	if name == "" || len(carriers) == 0 || !n.haveOneOwner(carriers) {
		return
	}
	if _, err := n.State.ClaimHost(n.KeptAs(name), n.Owner(carriers[0])); err != nil {
		n.Log.Debug("owner of a host name not kept", "host", name, "err", err)
	}
}

// Pick returns the carrier that is entered by a name: the first one of the name's owner. If
// two of that owner run, it is an error. There must be a carrier.
func (n Names[C]) Pick(name string, carriers []C) (picked C, err error) {
	own, err := n.ofOwner(name, carriers)
	switch {
	case err != nil:
		return picked, err
	case len(own) > 1 && n.Runs(own[1]):
		return picked, n.ambiguous(name, own)
	}
	return own[0], nil
}

// ofOwner returns those that are of the name's owner. A name that is nobody's becomes
// theirs.
func (n Names[C]) ofOwner(name string, carriers []C) ([]C, error) {
	kept := n.KeptAs(name)
	owner, err := n.State.Owner(kept)
	if err != nil {
		return nil, hosts.NewUnreachable(name, "cannot be looked up: the gateway cannot read whose its name is", err)
	}
	own := slices.DeleteFunc(slices.Clone(carriers), func(c C) bool { return n.Owner(c) != owner })
	switch {
	case len(own) > 0:
		return own, nil
	case !n.haveOneOwner(carriers):
		return nil, n.ambiguous(name, carriers)
	case owner == "" || n.IsBrief != nil && n.IsBrief(owner):
		return carriers, n.State.GiveHost(kept, n.Owner(carriers[0]))
	}
	return nil, hosts.NewUnreachable(name, fmt.Sprintf("is not entered: its name belongs to %s, and %s %s carries it now; "+
		"if it is to have it, %s runs: berth-gateway forget %s", printable.Line(owner, maxOwner), n.Kind, n.Called(carriers[0]), n.Judge, kept), nil)
}

func (n Names[C]) haveOneOwner(carriers []C) bool {
	return !slices.ContainsFunc(carriers, func(c C) bool { return n.Owner(c) != n.Owner(carriers[0]) })
}

func (n Names[C]) ambiguous(name string, carriers []C) error {
	why := fmt.Sprintf("is ambiguous: %ss %s and %s both carry its label", n.Kind, n.Called(carriers[0]), n.Called(carriers[1]))
	return hosts.NewUnreachable(name, why, nil)
}
