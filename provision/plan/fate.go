package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/compose"
)

// fate is the decision about a service's container.
type fate struct {
	service compose.Service
	facts   facts     // of the wanted container
	changes []string  // of the facts since the container was created
	is      Container // the existing container, if there is one
	there   bool
	cause   string  // why it is created, or recreated; "" where it stays
	inUse   bool    // people are on it, so it is not recreated
	updates updates // of a container that stays
	given   ledger.Allocation
	newer   bool     // there is a newer host image, for which the container is not recreated
	job     bool     // the service's command is meant to end
	lost    []string // networks that were recreated, so that it is no longer attached to them
}

// fatesOf returns the decision about each service, in the order in which they start.
func fatesOf(want compose.Wanted, have Observed, o Options) []*fate {
	var all []*fate
	jobs := jobsIn(want)
	for _, s := range want.Services {
		f := &fate{service: s, facts: factsOf(s, have.Marks.digestOf), cause: absent, job: jobs[s.Container]}
		if f.is, f.there = have.standsFor(want.Project, s); f.there {
			f.changes = append(have.Marks.factsSince(f.is.Labels[labels.Config], s), f.is.unlike(s.Said)...)
			f.stayOnImage(have, o)
			f.service = withNameless(f.service, f.is.nameless(want))
			f.lost = have.lost(f.is)
			f.updates = f.is.updatesTo(s)
			f.cause = outdated(f, have)
			f.inUse = len(f.is.Users) > 0 && !o.Force
		}
		all = append(all, f)
	}
	follow(all)
	return all
}

// stayOnImage lets a host keep the host image that it was created from, although
// Berth has a newer one: only a change of the files, or --upgrade, recreates it.
func (f *fate) stayOnImage(have Observed, o Options) {
	id, variant := f.is.Labels[labels.Image], f.is.Labels[labels.Variant]
	before, _ := readFacts(f.is.Labels[labels.Config])
	_, wasHost := before["environment."+labels.EnvUserCA]
	asked := variant == "" || variant == f.service.Image.Variant()
	if !f.service.Image.IsHost() || f.is.Project() == "" || !wasHost || !asked || have.Images[id] == "" || have.Images[f.service.Image.Ref] == id {
		return
	}
	f.newer = true
	if !o.Upgrade {
		f.service.Image.Ref, f.service.Config.Image = id, id
	}
}

func (f *fate) isNew() bool { return !f.there }

// recreates reports whether the service's container is recreated.
func (f *fate) recreates() bool { return f.there && f.cause != "" && !f.inUse }

// needsAllocation reports whether the service's container is created, recreated or
// resized, so that the ledger must check whether there is room for it.
func (f *fate) needsAllocation() bool {
	return f.isNew() || f.recreates() || f.cause == "" && len(f.updates.changes) > 0
}

// outdated returns why a container must be recreated to be what the service wants; ""
// if it need not be.
func outdated(f *fate, have Observed) string {
	s, is := f.service, f.is
	if is.Project() == "" {
		return "docker compose made it; its volumes are kept"
	}
	if gone := is.lostPartner(have); gone != "" {
		return gone
	}
	if len(f.changes) > 0 {
		return causeOf(append(f.changes, f.updates.changes...))
	}
	if f.updates.obstacle != "" {
		return causeOf(f.updates.changes) + "; " + f.updates.obstacle
	}
	switch ref := have.Images[s.Image.Ref]; {
	case ref == "" && s.Image.Recipe != nil && !s.Image.IsHost():
		return "its Dockerfile or build context changed"
	case ref == "" || is.Labels[labels.Image] != ref:
		return "its image changed"
	}
	return lostGPU(have.Box, is)
}

// lostPartner returns a cause if a container whose namespace this one shares is gone,
// so that it could not start; else "".
func (e Container) lostPartner(have Observed) string {
	for _, mode := range sharedModes(e.HostConfig) {
		partner, shares := strings.CutPrefix(mode, compose.ContainerMode(""))
		if _, named := have.Container(partner); shares && !named && !have.hasID(partner) {
			return "the container whose namespace it shares is gone"
		}
	}
	return ""
}

// lostGPU returns a cause if the container was given a GPU that the box no longer
// has, so that it could not start; else "".
func lostGPU(b box.Box, is Container) string {
	if len(b.Devices()) == 0 {
		return ""
	}
	for _, r := range is.HostConfig.DeviceRequests {
		for _, id := range r.DeviceIDs {
			if compose.IsGPU(r) && len(b.Resolve(id)) == 0 {
				return fmt.Sprintf("the box no longer has its GPU %s", id)
			}
		}
	}
	return ""
}

// books returns the ledger without the claims of those containers for which settle
// decides again.
func (o Observed) books(fates []*fate) *ledger.Ledger {
	var held []ledger.Claim
	decided := map[string]bool{} // ids of those containers
	for _, f := range fates {
		if f.there && f.needsAllocation() {
			decided[f.is.ID] = true
		}
	}
	for _, c := range o.Containers {
		if c.Counts() && !decided[c.ID] && !slices.Contains(o.Ignored, c.Name) {
			if o.hasID(c.Labels[labels.Replaces]) { // the amounts of the old one count
				c.Claim.Amounts = ledger.Amounts{}
			}
			held = append(held, c.Claim)
		}
	}
	return ledger.New(o.Box, held...)
}

// settle asks the ledger for each service that needs an allocation, and writes the
// allocation into the service. Services with existing containers come first, so that
// they keep their devices if possible. It returns a line for each refusal.
func settle(fates []*fate, books *ledger.Ledger, b box.Box) (refusals []string) {
	for _, there := range []bool{true, false} {
		for _, f := range fates {
			if f.there != there {
				continue
			}
			if !f.needsAllocation() {
				f.keepBroken(b)
				continue
			}
			if line := unseen(f.service, b); line != "" {
				refusals = append(refusals, line)
				continue
			}
			given, lines := books.Allocate(askOf(f.service, f.is.Claim))
			if len(lines) > 0 && f.keepDead(b, lines) {
				books.Hold(f.is.Claim)
				continue
			}
			for _, line := range lines {
				refusals = append(refusals, f.service.Name+": "+line)
			}
			f.given = given
			f.service = withAllocation(f.service, b, given)
		}
	}
	return refusals
}

// withAllocation returns the service with what the ledger has allocated.
func withAllocation(s compose.Service, b box.Box, given ledger.Allocation) compose.Service {
	if len(given.CPUs) > 0 {
		s.HostConfig.CpusetCpus = box.FormatCPUs(given.CPUs)
	}
	if len(given.Devices) == 0 || s.GPUs.None() {
		return s
	}
	var uuids []string
	for _, d := range given.Devices {
		uuids = append(uuids, d.UUID)
	}
	s.HostConfig.DeviceRequests = append(slices.Clone(s.HostConfig.DeviceRequests), requestFor(b, s.GPUs, given.Devices))
	s.Config.Env = append(slices.Clone(s.Config.Env), compose.EnvVisible+"="+strings.Join(uuids, ","))
	if s.GPUs.Share && b.Unlimited(given.Devices) == "" {
		s.Config.Env = append(s.Config.Env, "NVIDIA_GPU_MEMORY_LIMIT="+strconv.FormatInt(s.GPUs.Memory>>20, 10))
	}
	return s
}

// unlimited returns a warning for each service whose budget of GPU memory nothing
// enforces.
func unlimited(fates []*fate, b box.Box) []string {
	var lines []string
	for _, f := range fates {
		if why := b.Unlimited(f.given.Devices); f.service.GPUs.Share && len(f.given.Devices) > 0 && why != "" {
			lines = append(lines, fmt.Sprintf("%s: its %s of GPU memory are counted, but nothing keeps it from taking more: %s",
				f.service.Name, box.Bytes(f.service.GPUs.Memory), why))
		}
	}
	return lines
}
