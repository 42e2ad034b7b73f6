package plan

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"berth/box"
	"berth/labels"
	"berth/provision/compose"
)

// Up compares what ought to be with what is, and returns the steps between
// them. Its error says what is in the way, a line for each thing. Containers that
// people are on are recreated only by force.
func Up(want compose.Wanted, have Observed, force bool) (Plan, error) {
	have = have.indexed()
	want = have.fit(want)
	p := Plan{Warnings: slices.Concat(want.Warnings, adopted(want, have), strangers(want, have))}
	fates := fatesOf(want, have, force)
	lines := conflicts(want, have)
	books := have.books(fates)
	lines = append(lines, settle(fates, books, have.Box)...)
	if len(lines) > 0 {
		return p, errors.New(strings.Join(lines, "\n"))
	}
	for _, f := range fates {
		p.image(f.service.Image, have.Images)
	}
	for _, n := range want.Networks {
		if _, ok := have.Networks[n.Name]; !ok {
			p.add(Step{Op: OpCreate, Kind: KindNetwork, Name: n.Name, Cause: absent, Network: n})
		}
	}
	for _, v := range want.Volumes {
		if _, ok := have.Volumes[v.Name]; !ok {
			p.add(Step{Op: OpCreate, Kind: KindVolume, Name: v.Name, Cause: absent, Volume: v})
		}
	}
	for _, f := range fates {
		p.container(f, want)
	}
	p.Warnings = append(p.Warnings, books.Collisions()...)
	p.Warnings = append(p.Warnings, unlimited(fates, have.Box)...)
	p.Warnings = append(p.Warnings, seers(want, have.Box)...)
	if have.Box.Slow {
		p.Notes = append(p.Notes, box.SlowHint)
	}
	return p, nil
}

const absent = "does not exist"

// Images returns the steps that bring the services' images, of which those
// in have (ids by reference) are there.
func Images(want compose.Wanted, have map[string]string) Plan {
	var p Plan
	for _, s := range want.Services {
		p.image(s.Image, have)
	}
	return p
}

// image makes sure of an image; services may share one.
func (p *Plan) image(i compose.Image, have map[string]string) {
	if have[i.Ref] != "" || p.hasImage(i.Ref) {
		return
	}
	if i.Recipe == nil {
		p.add(Step{Op: OpPull, Kind: KindImage, Name: i.Ref, Cause: "not on this box"})
		return
	}
	if i.IsHost() && have[i.Base] == "" && !p.hasImage(i.Base) {
		p.add(Step{Op: OpPull, Kind: KindImage, Name: i.Base, Cause: "base of the host image, not on this box"})
	}
	p.add(Step{Op: OpBuild, Kind: KindImage, Name: i.Ref, Cause: buildCause(i), Image: i})
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
func (p *Plan) container(f *fate, want compose.Wanted) {
	s, is := f.service, f.is
	switch {
	case f.isNew():
		p.create(f)
		return
	case f.cause != "" && f.inUse:
		p.Kept = append(p.Kept, Kept{is.Name, f.cause, is.Users})
	case f.cause != "":
		p.Warnings = append(p.Warnings, is.nameless(want)...)
		p.remove(is, f.cause)
		p.create(f)
		return
	case len(f.updates.changes) > 0:
		p.add(Step{Op: OpUpdate, Kind: KindContainer, Name: is.Name, ID: is.ID, Cause: causeOf(f.updates.changes), Limits: f.updates.limits})
	}
	for _, n := range s.Networks {
		switch {
		case slices.Contains(f.lost, n.Network):
			p.add(Step{Op: OpDisconnect, Kind: KindContainer, Name: is.Name, Cause: "the network was made again", Joins: n})
			p.connect(is.Name, n, "the network was made again")
		case !slices.Contains(is.Networks, n.Network):
			p.connect(is.Name, n, "not connected")
		}
	}
	if !is.Running && !(is.Done && f.job) {
		p.waits(s)
		p.start(is.Name, is.State)
	}
}

func (p *Plan) create(f *fate) {
	s := f.service
	s.Config.Labels = maps.Clone(s.Config.Labels)
	s.Config.Labels[labels.Config] = f.facts.label()
	p.add(Step{Op: OpCreate, Kind: KindContainer, Name: s.Container, Cause: f.cause, Service: s, Given: f.given})
	for _, n := range s.Networks[min(1, len(s.Networks)):] {
		p.connect(s.Container, n, "one more network of "+s.Name)
	}
	p.waits(s)
	p.start(s.Container, "new")
}

func (p *Plan) connect(container string, n compose.Attachment, cause string) {
	p.add(Step{Op: OpConnect, Kind: KindContainer, Name: container, Cause: cause, Joins: n})
}

func (p *Plan) start(container, cause string) {
	p.add(Step{Op: OpStart, Kind: KindContainer, Name: container, Cause: cause})
}

func (p *Plan) remove(is Container, cause string) {
	if is.State != "created" { // nothing was written in it yet
		p.Lost = append(p.Lost, is.HostName())
	}
	if is.State != "exited" && is.State != "created" {
		p.add(Step{Op: OpStop, Kind: KindContainer, Name: is.Name, ID: is.ID, Cause: cause})
	}
	p.add(Step{Op: OpRemove, Kind: KindContainer, Name: is.Name, ID: is.ID, Cause: cause})
}

// Down returns the steps that take a project's containers and networks away.
// Volumes are data: they stay, unless withVolumes.
func Down(project string, have Observed, withVolumes bool) Plan {
	p := Remove(slices.DeleteFunc(slices.Clone(have.Containers), func(c Container) bool { return c.Project() != project }))
	for _, name := range Labelled(have.Networks, project) {
		p.add(Step{Op: OpRemove, Kind: KindNetwork, Name: name, Cause: "down"})
	}
	volumes := Labelled(have.Volumes, project)
	switch {
	case withVolumes:
		p.Volumes = volumes
		for _, name := range volumes {
			p.add(Step{Op: OpRemove, Kind: KindVolume, Name: name, Cause: "down"})
		}
	case len(volumes) > 0 && len(p.Steps) > 0:
		p.Notes = append(p.Notes, "volumes stay, with their data: "+strings.Join(volumes, " "))
	}
	return p
}

// Remove returns the steps that take these containers away.
func Remove(containers []Container) Plan {
	var p Plan
	for _, c := range containers {
		p.remove(c, "down")
	}
	return p
}

// Labelled returns the names of what carries the project's label.
func Labelled(things map[string]map[string]string, project string) []string {
	var names []string
	for name, on := range things {
		if on[labels.Project] == project {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
