package boxes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
)

// owner returns the box to which a plain name belongs; nil if it belongs to none yet.
// Its error is a *[hosts.Unreachable].
func (s *Source) owner(name string) (*box, error) {
	owner, err := s.state.Owner(name)
	if err != nil {
		return nil, nil // a name that cannot be stored belongs to no box, and all are asked
	}
	of := strings.TrimPrefix(owner, labels.OwnerBox(""))
	switch {
	case owner == "":
		return nil, nil
	case of == owner: // a service or container, as only this machine's engine stores owners
		of = hosts.LocalBox
	}
	i := slices.IndexFunc(s.boxes, func(b box) bool { return b.name == of })
	if i >= 0 {
		return &s.boxes[i], nil
	}
	why := fmt.Sprintf("is not entered: its name belongs to box %s, which gateway.yaml does not have any more; the owner of the gateway runs: berth-gateway forget %s", of, name)
	return nil, &hosts.Unreachable{Host: name, Why: why}
}

// claim makes a plain name belong to a box if it belongs to none. This machine's own
// engine claims its names itself, with their owners there, except those that could be
// read as name.box.
func (s *Source) claim(name string, b box) {
	if b.name == hosts.LocalBox && !strings.Contains(name, ".") {
		return
	}
	if _, err := s.state.ClaimHost(name, labels.OwnerBox(b.name)); err != nil {
		s.log.Debug("box of a host name not kept", "host", name, "box", b.name, "err", err)
	}
}

// claimAll claims each name that only one box has: as soon as all boxes have answered
// once, or were found to be silent, and whenever one has seen a change.
func (s *Source) claimAll(ctx context.Context) {
	for {
		s.List(ctx)
		select {
		case <-ctx.Done():
			return
		case <-s.seen:
		}
	}
}
