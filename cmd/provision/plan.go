package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"berth/box"
	"berth/labels"
)

// plan is the way from what is to what ought to be. Making one touches
// nothing, and its text is what it will do.
type plan struct {
	steps    []step
	lost     []string // hosts whose containers go, with what was written in them
	volumes  []string // that go, with their data
	kept     []string // containers that somebody is on, and what they would be made anew for
	warnings []string
	notes    []string
}

// step is one call of the engine, and why.
type step struct {
	op       string // pull, build, create, connect, start, update, stop, remove
	resource string
	cause    string
	do       func(context.Context, *engine) error
}

// String is the plan for people, a line a step.
func (p plan) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, s := range p.steps {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.op, s.resource, s.cause)
	}
	w.Flush()
	for _, line := range p.kept {
		fmt.Fprintf(&text, "kept as it is: %s\n", line)
	}
	for _, warning := range p.warnings {
		fmt.Fprintf(&text, "warning: %s\n", warning)
	}
	for _, note := range p.notes {
		fmt.Fprintln(&text, note)
	}
	return text.String()
}

func (p *plan) add(op, resource, cause string, do func(context.Context, *engine) error) {
	p.steps = append(p.steps, step{op, resource, cause, do})
}

// planUp compares what ought to be with what is. It refuses what cannot be
// made whole. Containers that people are on are made anew only by force.
func planUp(want desired, have observed, force bool) (plan, error) {
	p := plan{warnings: slices.Concat(want.warnings, adopted(want, have), strangers(want, have))}
	fates := fatesOf(want, have, force)
	lines := conflicts(want, have)
	books := have.books(fates)
	lines = append(lines, settle(fates, books, have.box)...)
	if len(lines) > 0 {
		return p, errors.New(strings.Join(lines, "\n"))
	}
	for _, f := range fates {
		p.image(f.service.image, have)
	}
	for _, n := range want.networks {
		if _, ok := have.networks[n.name]; !ok {
			p.add("create", "network "+n.name, absent, func(ctx context.Context, e *engine) error { return e.createNetwork(ctx, n) })
		}
	}
	for _, v := range want.volumes {
		if _, ok := have.volumes[v.options.Name]; !ok {
			p.add("create", "volume "+v.options.Name, absent, func(ctx context.Context, e *engine) error { return e.createVolume(ctx, v) })
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

// image makes sure of an image; services may share one.
func (p *plan) image(i wantedImage, have observed) {
	if have.images[i.ref] != "" || p.has("image "+i.ref) {
		return
	}
	if i.make == nil {
		p.pull(i.ref, "not on this machine")
		return
	}
	if i.isHost() && have.images[i.base] == "" && !p.has("image "+i.base) {
		p.pull(i.base, "base of the host image, not on this machine")
	}
	p.add("build", "image "+i.ref, buildCause(i), func(ctx context.Context, e *engine) error { return e.buildImage(ctx, i) })
}

func buildCause(i wantedImage) string {
	switch {
	case i.isHost() && i.make.args["DOCKER_CLI"] != nil:
		return "no host image of " + i.base + " with a docker command yet"
	case i.isHost():
		return "no host image of " + i.base + " yet"
	}
	return "no image of this Dockerfile and context yet"
}

func (p *plan) pull(ref, cause string) {
	p.add("pull", "image "+ref, cause, func(ctx context.Context, e *engine) error { return e.pullImage(ctx, ref) })
}

// images is the part of the plan that takes nothing from anybody.
func (p plan) images() plan {
	return plan{steps: slices.DeleteFunc(slices.Clone(p.steps), func(s step) bool { return !isImage(s) })}
}

func (p plan) withoutImages() plan {
	p.steps = slices.DeleteFunc(slices.Clone(p.steps), isImage)
	return p
}

func isImage(s step) bool { return strings.HasPrefix(s.resource, "image ") }

func (p *plan) has(resource string) bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return s.resource == resource })
}

// container makes sure of a service's container: that it is there, made of
// what it ought to be, on its networks, and runs.
func (p *plan) container(f *fate, want desired) {
	s, is := f.service, f.is
	switch {
	case f.isNew():
		p.create(f)
		return
	case f.anew != "" && f.inUse:
		p.kept = append(p.kept, fmt.Sprintf("container %s, though %s: %s; --force makes it anew", is.name, f.anew, strings.Join(is.users, ", ")))
	case f.anew != "":
		p.warnings = append(p.warnings, is.nameless(want)...)
		p.remove(is, f.anew)
		p.create(f)
		return
	case len(f.updates.changes) > 0:
		p.add("update", "container "+is.name, causeOf(f.updates.changes),
			func(ctx context.Context, e *engine) error { return e.update(ctx, is.id, f.updates) })
	}
	for _, n := range s.networks {
		if !slices.Contains(is.networks, n.Network) {
			p.connect(is.name, n, "not connected")
		}
	}
	if !is.running {
		p.start(is.name, is.state)
	}
}

func (p *plan) create(f *fate) {
	s, cause := f.service, f.anew
	for _, d := range f.given.Devices {
		cause += "; gets " + d.String()
	}
	if len(f.given.CPUs) > 0 {
		cause += "; pinned to cpus " + box.FormatCPUs(f.given.CPUs)
	}
	p.add("create", "container "+s.container, cause, func(ctx context.Context, e *engine) error { return e.createContainer(ctx, s) })
	for _, n := range s.networks[min(1, len(s.networks)):] {
		p.connect(s.container, n, "one more network of "+s.name)
	}
	p.start(s.container, "new")
}

func (p *plan) connect(container string, n attachment, cause string) {
	p.add("connect", fmt.Sprintf("container %s to %s", container, n.Network), cause,
		func(ctx context.Context, e *engine) error { return e.connect(ctx, container, n) })
}

func (p *plan) start(container, cause string) {
	p.add("start", "container "+container, cause, func(ctx context.Context, e *engine) error { return e.start(ctx, container) })
}

func (p *plan) remove(is existing, cause string) {
	if is.state != "created" { // nothing was written in it yet
		p.lost = append(p.lost, is.hostName())
	}
	if is.state != "exited" && is.state != "created" {
		p.add("stop", "container "+is.name, cause, func(ctx context.Context, e *engine) error { return e.stop(ctx, is.id) })
	}
	p.add("remove", "container "+is.name, cause, func(ctx context.Context, e *engine) error { return e.remove(ctx, is.id) })
}

// planDown takes a project's containers and networks away. Volumes are data:
// they stay.
func planDown(project string, have observed, withVolumes bool) plan {
	var p plan
	for _, c := range have.containers {
		if c.project() == project {
			p.remove(c, "down")
		}
	}
	for _, name := range labelled(have.networks, project) {
		p.add("remove", "network "+name, "down", func(ctx context.Context, e *engine) error { return e.removeNetwork(ctx, name) })
	}
	volumes := labelled(have.volumes, project)
	switch {
	case withVolumes:
		p.removeVolumes(volumes)
	case len(volumes) > 0 && len(p.steps) > 0:
		p.notes = append(p.notes, "volumes stay, with their data: "+strings.Join(volumes, " "))
	}
	return p
}

func (p *plan) removeVolumes(names []string) {
	p.volumes = names
	for _, name := range names {
		p.add("remove", "volume "+name, "down", func(ctx context.Context, e *engine) error { return e.removeVolume(ctx, name) })
	}
}

// loss is what is gone when the plan is carried out; "" for nothing.
func (p plan) loss() string {
	var losses []string
	if len(p.lost) > 0 {
		losses = append(losses, "what was written in "+strings.Join(p.lost, ", ")+" outside its volumes")
	}
	if len(p.volumes) > 0 {
		losses = append(losses, "with their data the volumes "+strings.Join(p.volumes, ", "))
	}
	return strings.Join(losses, ", and ")
}

// labelled are the names of what carries the project's label.
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
