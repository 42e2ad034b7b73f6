// Package boxes is the source of hosts on several boxes, under one set of names.
//
// A name stands for one host over all boxes; name.box always stands for the host of
// that name on that box. The plain name belongs to the box that had it first, as long
// as a host of that name exists there. This is stored in the state directory, so that
// people who may create containers on another box cannot get the logins to that name.
// If several boxes have a name that belongs to none yet, the login must say name.box.
//
// Each box is followed separately. If one does not answer, only its own hosts are
// refused, with that reason; those on other boxes are looked up and entered as
// before.
package boxes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"
)

// Source is the hosts of all boxes.
type Source struct {
	boxes []box
	state *state.State
	log   *slog.Logger
	seen  chan struct{} // gets one item when hosts may have come or gone
}

type box struct {
	name string
	hosts.Source
}

// New returns a source without boxes.
func New(st *state.State, log *slog.Logger) *Source {
	return &Source{state: st, log: log, seen: make(chan struct{}, 1)}
}

// Add adds a box; it must be called before Run. of is the box's own source, whose
// names do not contain the box.
func (s *Source) Add(name string, of hosts.Source) {
	s.boxes = append(s.boxes, box{name, of})
}

// Seen must be called when hosts may have come or gone. It does not wait.
func (s *Source) Seen() {
	select {
	case s.seen <- struct{}{}:
	default:
	}
}

// Run keeps all boxes up to date.
func (s *Source) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, b := range s.boxes {
		all.Go(func() { b.Run(ctx) })
	}
	all.Go(func() { s.claimAll(ctx) })
	all.Wait()
}

// Close ends what was opened, on all boxes.
func (s *Source) Close() {
	for _, b := range s.boxes {
		b.Close()
	}
}

// Lookup finds a host by its name, or by name.box. If the name belongs to a box, it
// waits only for that one.
func (s *Source) Lookup(ctx context.Context, name string) (hosts.Host, error) {
	if b, host, isExact := s.exact(name); isExact {
		found, err := b.Lookup(ctx, host)
		if err != nil {
			return hosts.Host{}, renamed(err, name, b.name)
		}
		return s.placed(found, b), nil
	}
	owner, err := s.owner(name)
	if err != nil {
		return hosts.Host{}, err
	}
	if owner == nil {
		return s.lookupUnowned(ctx, name)
	}
	found, err := owner.Lookup(ctx, name)
	switch {
	case err == nil:
		return s.placed(found, *owner), nil
	case !hosts.IsUnknown(err):
		return hosts.Host{}, err
	}
	return s.lookupMoved(ctx, name, *owner, err)
}

// lookupUnowned finds a host whose name belongs to no box yet.
func (s *Source) lookupUnowned(ctx context.Context, name string) (hosts.Host, error) {
	found, refused := s.having(ctx, name)
	switch {
	case len(found) == 1:
		s.claim(name, found[0].box)
		return s.placed(found[0].host, found[0].box), nil
	case len(found) > 1:
		return hosts.Host{}, ambiguous(name, found)
	}
	return hosts.Host{}, refused
}

// lookupMoved finds a host on another box if it is gone on the one to which its name
// belongs. A container without a project owns its name only as long as it exists.
func (s *Source) lookupMoved(ctx context.Context, name string, from box, gone error) (hosts.Host, error) {
	found, _ := s.having(ctx, name)
	if len(found) == 0 {
		return hosts.Host{}, gone
	}
	to := found[0].box
	was, err := s.state.Owner(s.ownName(name, from))
	if err != nil || len(found) > 1 || was != "" && !labels.IsAlone(was) {
		why := fmt.Sprintf("is not entered: its name belongs to box %s, where it is gone, and %s has one of that name: log in to %s.%s, or the owner of the gateway runs: berth-gateway forget %s",
			from.name, to.name, name, to.name, name)
		return hosts.Host{}, &hosts.Unreachable{Host: name, Why: why, Cause: err}
	}
	if err := s.state.ForgetHost(name); err != nil {
		s.log.Warn("owner of a host name not forgotten", "host", name, "err", err)
	}
	s.claim(name, to)
	return s.placed(found[0].host, to), nil
}

// ownName returns the name under which the state directory stores the owner of a name
// on a box.
func (s *Source) ownName(name string, b box) string {
	if b.name == hosts.LocalBox {
		return name
	}
	return name + "." + b.name
}

// candidate is a host that a name may stand for.
type candidate struct {
	box  box
	host hosts.Host
}

// having returns the hosts of that name on all boxes that answer, or, if there are
// none, why.
func (s *Source) having(ctx context.Context, name string) (found []candidate, refused error) {
	var silent []string
	var causes []error
	for _, b := range s.boxes {
		host, err := b.Lookup(ctx, name)
		switch {
		case err == nil:
			found = append(found, candidate{b, host})
		case hosts.IsSilent(err):
			why := hosts.AsUnreachable(err)
			silent, causes = append(silent, why.Silent), append(causes, why.Cause)
		case !hosts.IsUnknown(err):
			return nil, renamed(err, name+"."+b.name, b.name)
		case refused == nil:
			refused = err // it has the time for which a host may still be about to be created
		}
	}
	if len(silent) == 0 {
		return found, refused
	}
	which := strings.Join(silent, ", and ")
	why := "does not exist on the boxes that answer; " + which
	return found, &hosts.Unreachable{Host: name, Why: why, Cause: errors.Join(causes...), Unknown: true, Silent: which}
}

func ambiguous(name string, found []candidate) error {
	var exact []string
	for _, c := range found {
		exact = append(exact, name+"."+c.box.name)
	}
	why := "is on several boxes: log in to " + strings.Join(exact, " or ")
	return &hosts.Unreachable{Host: name, Why: why}
}

// renamed returns an error about a host of a box with the host's exact name.
func renamed(err error, name, box string) error {
	if why := hosts.AsUnreachable(err); why != nil {
		renamed := *why
		renamed.Host, renamed.Box = name, box
		return &renamed
	}
	return err
}

// exact splits name.box if there is such a box.
func (s *Source) exact(name string) (b box, host string, isExact bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 {
		return box{}, "", false
	}
	i := slices.IndexFunc(s.boxes, func(b box) bool { return b.name == name[dot+1:] })
	if i < 0 {
		return box{}, "", false
	}
	return s.boxes[i], name[:dot], true
}

// placed returns a host of a box with the name by which grants know it: the plain one
// only if that belongs to this box.
func (s *Source) placed(host hosts.Host, b box) hosts.Host {
	name := host.Name
	host.Box, host.Exact, host.Name = b.name, name+"."+b.name, name+"."+b.name
	if _, _, isExact := s.exact(name); isExact {
		return host
	}
	if owner, err := s.owner(name); err == nil && owner != nil && owner.name == b.name {
		host.Name = name
	}
	return host
}

// List returns the hosts of all boxes, and makes each name that only one box has
// belong to that box. It waits once for boxes that have not answered yet.
func (s *Source) List(ctx context.Context) []hosts.Host {
	var found []candidate
	on := map[string]int{}
	for _, b := range s.boxes {
		for _, host := range b.List(ctx) {
			found, on[host.Name] = append(found, candidate{b, host}), on[host.Name]+1
		}
	}
	var all []hosts.Host
	for _, c := range found {
		if _, _, isExact := s.exact(c.host.Name); !isExact && on[c.host.Name] == 1 && ctx.Err() == nil {
			s.claim(c.host.Name, c.box)
		}
		all = append(all, s.placed(c.host, c.box))
	}
	return all
}

// ComingBack asks the box to which a name belongs, or else all boxes.
func (s *Source) ComingBack(name string) (comingBack, known bool) {
	if b, host, isExact := s.exact(name); isExact {
		return b.ComingBack(host)
	}
	if owner, err := s.owner(name); err == nil && owner != nil {
		return owner.ComingBack(name)
	}
	for _, b := range s.boxes {
		if comingBack, known := b.ComingBack(name); known {
			return comingBack, true
		}
	}
	return false, false
}

// Open opens a host on its box.
func (s *Source) Open(ctx context.Context, host hosts.Host, account string) (hosts.Entrance, error) {
	i := slices.IndexFunc(s.boxes, func(b box) bool { return b.name == host.Box })
	if i < 0 {
		return hosts.Entrance{}, &hosts.Unreachable{Host: host.Name, Why: "is on a box that is not known"}
	}
	return s.boxes[i].Open(ctx, host, account)
}
