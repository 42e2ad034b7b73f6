package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"berth/labels"
)

// fate is what becomes of a service's container.
type fate struct {
	service wantedService
	is      existing
	there   bool
	anew    string  // why it is made, or made anew; "" where it stays
	inUse   bool    // somebody is on it, so it stays nevertheless
	updates updates // of one that stays
	given   grant
}

func fatesOf(want desired, have observed, force bool) []*fate {
	var all []*fate
	for _, s := range want.services {
		f := &fate{service: s, anew: absent}
		if f.is, f.there = have.standsFor(want.project, s); f.there {
			f.updates = f.is.updatesTo(s)
			f.anew = outdated(f, have)
			f.inUse = len(f.is.users) > 0 && !force
		}
		all = append(all, f)
	}
	return all
}

func (f *fate) isNew() bool { return !f.there }

// settles: the ledger has to say whether there is room for it.
func (f *fate) settles() bool {
	return f.isNew() || f.anew != "" && !f.inUse || f.anew == "" && len(f.updates.changes) > 0
}

// outdated is why a container is not the one that the service wants, or "".
func outdated(f *fate, have observed) string {
	s, is := f.service, f.is
	if is.project() == "" {
		return "docker compose made it; its volumes are kept"
	}
	if changes := readFacts(s.config.Labels[labels.Config]).changes(readFacts(is.labels[labels.Config])); len(changes) > 0 {
		return causeOf(append(changes, f.updates.changes...))
	}
	if f.updates.obstacle != "" {
		return causeOf(f.updates.changes) + "; " + f.updates.obstacle
	}
	if ref := have.images[s.image.ref]; ref == "" || is.labels[labels.Image] != ref {
		return "its image changed"
	}
	return have.machine.lostGPU(is)
}

// lostGPU: a container that was given a device which is no more would not start.
func (m machine) lostGPU(is existing) string {
	if len(m.devices()) == 0 {
		return ""
	}
	for _, r := range is.host.DeviceRequests {
		for _, id := range r.DeviceIDs {
			if isGPU(r) && len(m.resolve(id)) == 0 {
				return fmt.Sprintf("the machine has its GPU %s no more", id)
			}
		}
	}
	return ""
}

// books are the ledger without the containers whose place is to be settled anew.
func (o observed) books(fates []*fate) *ledger {
	l := &ledger{machine: o.machine}
	for _, c := range o.containers {
		replaced := slices.ContainsFunc(fates, func(f *fate) bool { return f.settles() && f.there && f.is.id == c.id })
		if c.counts() && !replaced && !slices.Contains(o.ignored, c.name) {
			l.claims = append(l.claims, c.claim)
		}
	}
	return l
}

// settle finds room for what is made, anew or for the first time: first for
// those that are there, which keep their devices if they can.
func (l *ledger) settle(fates []*fate) (refusals []string) {
	for _, there := range []bool{true, false} {
		for _, f := range fates {
			if !f.settles() || f.there != there {
				continue
			}
			given, lines := l.admit(f.service, f.is.claim)
			for _, line := range lines {
				refusals = append(refusals, f.service.name+": "+line)
			}
			f.given = given
			f.service = f.service.with(l.machine, given)
		}
	}
	return refusals
}

func (c claim) uuids() []string {
	var uuids []string
	for _, g := range c.gpus {
		uuids = append(uuids, g.uuid)
	}
	return uuids
}

// with is the service with what the ledger gave it.
func (s wantedService) with(m machine, g grant) wantedService {
	if len(g.cpus) > 0 {
		s.hostConfig.CpusetCpus = formatCPUs(g.cpus)
	}
	given := g.devices
	if len(given) == 0 || s.gpus.none() {
		return s
	}
	var uuids []string
	for _, d := range given {
		uuids = append(uuids, d.uuid)
	}
	s.hostConfig.DeviceRequests = append(slices.Clone(s.hostConfig.DeviceRequests), m.request(s.gpus, given))
	s.config.Env = append(slices.Clone(s.config.Env), envVisible+"="+strings.Join(uuids, ","))
	if s.gpus.share && m.whyUnenforced(given) == "" {
		s.config.Env = append(s.config.Env, "NVIDIA_GPU_MEMORY_LIMIT="+strconv.FormatInt(s.gpus.memory>>20, 10))
	}
	return s
}

// unenforced says where a budget is only a promise.
func (m machine) unenforced(fates []*fate) []string {
	var lines []string
	for _, f := range fates {
		if why := m.whyUnenforced(f.given.devices); f.service.gpus.share && len(f.given.devices) > 0 && why != "" {
			lines = append(lines, fmt.Sprintf("%s: its %s of GPU memory are counted, but nothing keeps it from taking more: %s",
				f.service.name, inBytes(f.service.gpus.memory), why))
		}
	}
	return lines
}

// whyUnenforced: the toolkit limits GPU memory since 1.20.1, by a CDI hook, with
// drivers of CUDA 13.4 and later; where one of these is missing the container
// would not start.
func (m machine) whyUnenforced(given []device) string {
	for _, d := range given {
		switch {
		case d.profile != "":
			return "the driver limits no MIG instance"
		case !m.knowsCDI(d.uuid):
			return "the engine knows the GPU by no CDI name"
		}
	}
	switch {
	case !m.cgroupV2:
		return "it takes cgroup v2"
	case !atLeast(m.gpus.CUDA, "13.4"):
		return "it takes a driver for CUDA 13.4"
	case !atLeast(m.toolkit, "1.20.1"):
		return "it takes the NVIDIA container toolkit 1.20.1"
	}
	return ""
}

// atLeast compares versions of numbers and dots; one that is none is less.
func atLeast(version, least string) bool {
	have, want := strings.Split(version, "."), strings.Split(least, ".")
	for i := range want {
		if i >= len(have) {
			return false
		}
		is, err := strconv.Atoi(have[i])
		ought, _ := strconv.Atoi(want[i])
		if err != nil || is < ought {
			return false
		}
		if is > ought {
			return true
		}
	}
	return true
}
