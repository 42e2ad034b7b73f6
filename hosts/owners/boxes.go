package owners

import (
	"errors"
	"strings"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"
)

// KeptAs returns the name by which the owner of a host on an engine is kept. Of another box
// that is name.box: whose the plain name is, package hosts/boxes decides. So it is on this
// machine, where the plain name is another box's, or may read as name.box. The box is ""
// where there is only one engine.
func KeptAs(st *state.State, box, name string) string {
	if box == "" {
		return name
	}
	if strings.Contains(name, ".") {
		return name + "." + box
	}
	if owner, err := st.Owner(name); box == hosts.LocalBox && err == nil && !labels.IsBox(owner) {
		return name
	}
	return name + "." + box
}

// Give makes an owner the owner of a name on a box, whoever had it there. If the
// plain name belongs to another box, only the exact name is given, and Give returns
// the owner of the plain one; else "".
func Give(st *state.State, box, name, owner string) (others string, err error) {
	exact, own, isHere := name+"."+box, labels.OwnerBox(box), box == hosts.LocalBox
	of, err := st.Owner(name)
	if err == nil && !isHere {
		of, err = st.ClaimHost(name, own)
	}
	switch {
	case err != nil:
		return "", err
	case of != own && (!isHere || labels.IsBox(of)):
		return of, st.GiveHost(exact, owner)
	case !isHere:
		return "", st.GiveHost(exact, owner)
	case strings.Contains(name, "."): // which could read as name.box
		err = st.GiveHost(exact, owner)
	}
	return "", errors.Join(err, st.GiveHost(name, owner))
}
