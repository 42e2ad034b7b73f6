package main

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"berth/labels"
	"berth/provision/compose"
)

// planUp compares what ought to be with what is, and returns the steps between
// them. Its error says what is in the way, a line for each thing. Containers that
// people are on are recreated only by force.
func planUp(want compose.Wanted, have observed, force bool) (plan, error) {
	p := plan{warnings: slices.Concat(want.Warnings, adopted(want, have), strangers(want, have))}
	fates := fatesOf(want, have, force)
	lines := conflicts(want, have)
	books := have.books(fates)
	lines = append(lines, settle(fates, books, have.box)...)
	if len(lines) > 0 {
		return p, errors.New(strings.Join(lines, "\n"))
	}
	for _, f := range fates {
		p.image(f.service.Image, have.images)
	}
	for _, n := range want.Networks {
		if _, ok := have.networks[n.Name]; !ok {
			p.add(step{op: opCreate, kind: kindNetwork, name: n.Name, cause: absent, network: n})
		}
	}
	for _, v := range want.Volumes {
		if _, ok := have.volumes[v.Name]; !ok {
			p.add(step{op: opCreate, kind: kindVolume, name: v.Name, cause: absent, volume: v})
		}
	}
	for _, f := range fates {
		p.container(f, want)
	}
	p.warnings = append(p.warnings, books.Collisions()...)
	p.warnings = append(p.warnings, unlimited(fates, have.box)...)
	return p, nil
}

const absent = "does not exist"

// planImages returns the steps that bring the services' images, of which those
// in have (ids by reference) are there.
func planImages(want compose.Wanted, have map[string]string) plan {
	var p plan
	for _, s := range want.Services {
		p.image(s.Image, have)
	}
	return p
}

// image makes sure of an image; services may share one.
func (p *plan) image(i compose.Image, have map[string]string) {
	if have[i.Ref] != "" || p.has(kindImage, i.Ref) {
		return
	}
	if i.Recipe == nil {
		p.add(step{op: opPull, kind: kindImage, name: i.Ref, cause: "not on this machine"})
		return
	}
	if i.IsHost() && have[i.Base] == "" && !p.has(kindImage, i.Base) {
		p.add(step{op: opPull, kind: kindImage, name: i.Base, cause: "base of the host image, not on this machine"})
	}
	p.add(step{op: opBuild, kind: kindImage, name: i.Ref, cause: buildCause(i), image: i})
}

func buildCause(i compose.Image) string {
	switch {
	case i.IsHost() && i.Recipe.Args["DOCKER_CLI"] != nil:
		return "no host image of " + i.Base + " with a docker command yet"
	case i.IsHost():
		return "no host image of " + i.Base + " yet"
	}
	return "no image of this Dockerfile and context yet"
}

// container makes sure of a service's container: that it is there, made of
// what it ought to be, on its networks, and runs.
func (p *plan) container(f *fate, want compose.Wanted) {
	s, is := f.service, f.is
	switch {
	case f.isNew():
		p.create(f)
		return
	case f.anew != "" && f.inUse:
		p.kept = append(p.kept, kept{is.name, f.anew, is.users})
	case f.anew != "":
		p.warnings = append(p.warnings, is.nameless(want)...)
		p.remove(is, f.anew)
		p.create(f)
		return
	case len(f.updates.changes) > 0:
		p.add(step{op: opUpdate, kind: kindContainer, name: is.name, id: is.id, cause: causeOf(f.updates.changes), limits: f.updates.limits})
	}
	for _, n := range s.Networks {
		if !slices.Contains(is.networks, n.Network) {
			p.connect(is.name, n, "not connected")
		}
	}
	if !is.running {
		p.start(is.name, is.state)
	}
}

func (p *plan) create(f *fate) {
	s := f.service
	s.Config.Labels = maps.Clone(s.Config.Labels)
	s.Config.Labels[labels.Config] = f.facts.label()
	p.add(step{op: opCreate, kind: kindContainer, name: s.Container, cause: f.anew, service: s, given: f.given})
	for _, n := range s.Networks[min(1, len(s.Networks)):] {
		p.connect(s.Container, n, "one more network of "+s.Name)
	}
	p.start(s.Container, "new")
}

func (p *plan) connect(container string, n compose.Attachment, cause string) {
	p.add(step{op: opConnect, kind: kindContainer, name: container, cause: cause, joins: n})
}

func (p *plan) start(container, cause string) {
	p.add(step{op: opStart, kind: kindContainer, name: container, cause: cause})
}

func (p *plan) remove(is existing, cause string) {
	if is.state != "created" { // nothing was written in it yet
		p.lost = append(p.lost, is.hostName())
	}
	if is.state != "exited" && is.state != "created" {
		p.add(step{op: opStop, kind: kindContainer, name: is.name, id: is.id, cause: cause})
	}
	p.add(step{op: opRemove, kind: kindContainer, name: is.name, id: is.id, cause: cause})
}

// planDown returns the steps that take a project's containers and networks away.
// Volumes are data: they stay, unless withVolumes.
func planDown(project string, have observed, withVolumes bool) plan {
	p := planRemove(slices.DeleteFunc(slices.Clone(have.containers), func(c existing) bool { return c.project() != project }))
	for _, name := range labelled(have.networks, project) {
		p.add(step{op: opRemove, kind: kindNetwork, name: name, cause: "down"})
	}
	volumes := labelled(have.volumes, project)
	switch {
	case withVolumes:
		p.volumes = volumes
		for _, name := range volumes {
			p.add(step{op: opRemove, kind: kindVolume, name: name, cause: "down"})
		}
	case len(volumes) > 0 && len(p.steps) > 0:
		p.notes = append(p.notes, "volumes stay, with their data: "+strings.Join(volumes, " "))
	}
	return p
}

// planRemove returns the steps that take these containers away.
func planRemove(containers []existing) plan {
	var p plan
	for _, c := range containers {
		p.remove(c, "down")
	}
	return p
}

// labelled returns the names of what carries the project's label.
func labelled(things map[string]map[string]string, project string) []string {
	var names []string
	for name, on := range things {
		if on[labels.Project] == project {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
