package plan

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// Options are a person's wishes for a plan.
type Options struct {
	Force   bool // recreate containers even if people are on them
	Fresh   bool // recreate them without what was written in them
	Upgrade bool // recreate hosts for which there is a newer host image
}

// Up compares what is wanted with what exists, and returns the steps between them.
// Its error has a line for each conflict.
func Up(want compose.Wanted, have Observed, o Options) (Plan, error) {
	p := Recover(want.Project, have)
	have = have.after(p).indexed()
	want = have.fit(want)
	p.Warnings = slices.Concat(want.Warnings, adopted(want, have), strangers(want, have))
	if lines := conflicts(want, have); len(lines) > 0 {
		return p, errors.New(strings.Join(lines, "\n"))
	}
	fates := fatesOf(want, have, o)
	p.Warnings = append(p.Warnings, withoutKept(fates, have)...)
	if lines := unkept(fates, have, o); len(lines) > 0 {
		return p, errors.New(strings.Join(lines, "\n"))
	}
	books := have.books(fates)
	if lines := settle(fates, books, have.Box); len(lines) > 0 {
		return p, errors.New(strings.Join(lines, "\n"))
	}
	for _, f := range fates {
		p.image(f.service.Image, have.Images)
	}
	p.networks(want, have)
	p.volumes(want, fates, have)
	p.containers(fates, have, o)
	p.Warnings = append(p.Warnings, books.Collisions()...)
	p.Warnings = append(p.Warnings, unlimited(fates, have.Box)...)
	p.Warnings = append(p.Warnings, seers(want, have.Box)...)
	p.Warnings = append(p.Warnings, namedTwice(want, have.Box)...)
	if have.Box.Slow {
		p.Notes = append(p.Notes, box.SlowHint)
	}
	return p, nil
}

// networks adds steps that create the missing networks. Those whose subnets the files
// choose come first: the engine chooses the others from what is left.
func (p *Plan) networks(want compose.Wanted, have Observed) {
	chosen := func(n compose.Network) int {
		if len(n.Subnets()) > 0 {
			return 0
		}
		return 1
	}
	for _, n := range slices.SortedStableFunc(slices.Values(want.Networks), func(a, b compose.Network) int { return cmp.Compare(chosen(a), chosen(b)) }) {
		if _, ok := have.Networks[n.Name]; !ok {
			p.add(Step{Op: OpCreate, Kind: KindNetwork, Name: n.Name, Cause: absent, Network: n})
		}
	}
}

// volumes adds steps that create the missing volumes. A volume whose initial content
// comes from a directory of a container that is recreated has a label that says so,
// as long as both exist: after an interruption the next run copies the directory
// again.
func (p *Plan) volumes(want compose.Wanted, fates []*fate, have Observed) {
	for _, v := range want.Volumes {
		if _, ok := have.Volumes[v.Name]; ok || v.ForHosts && !makesOne(fates) {
			continue
		}
		v.Labels = maps.Clone(v.Labels)
		for _, f := range fates {
			for _, m := range f.newVolumes(have) {
				if f.recreates() && m.Source == v.Name && v.Labels != nil {
					v.Labels[labels.Fills] = f.is.ID
				}
			}
		}
		p.add(Step{Op: OpCreate, Kind: KindVolume, Name: v.Name, Cause: absent, Volume: v})
	}
}

// containers adds the steps for the services' containers, in the order in which they
// start. Containers that are recreated together come together, at the place of the
// last of them. A new container that gets the GPU of a recreated one comes after it.
func (p *Plan) containers(fates []*fate, have Observed, o Options) {
	group, members := groups(fates), map[int][]*fate{}
	for _, f := range fates {
		members[group[f]] = append(members[group[f]], f)
	}
	var waiting []*fate
	for i, f := range fates {
		n := group[f]
		together := members[n]
		switch {
		case n == 0 && f.isNew() && f.contends() && waitsForAny(f, fates[i+1:]):
			waiting = append(waiting, f)
		case n == 0:
			p.container(f)
		case together[len(together)-1] == f:
			p.recreate(together, n, have, o)
		}
	}
	for _, f := range waiting {
		p.container(f)
	}
}

func waitsForAny(f *fate, others []*fate) bool {
	return slices.ContainsFunc(others, func(g *fate) bool { return g.recreates() && f.waitsFor(g) })
}

// recreate adds the recreations of a group.
func (p *Plan) recreate(together []*fate, n int, have Observed, o Options) {
	for _, f := range together {
		r := f.recreation(have, n, o)
		switch host := f.is.HostName(); {
		case r.Keep, r.Copy:
			p.Recreated = append(p.Recreated, host)
		case f.is.State != "created": // nothing was written in it yet
			p.Lost = append(p.Lost, host)
		}
		p.Warnings = slices.Concat(p.Warnings, f.hidden(have), f.parted())
		p.waits(f.service)
		p.add(Step{Op: OpRecreate, Kind: KindContainer, Name: f.service.Container, ID: f.is.ID, Cause: f.cause,
			Service: f.labelled(), Given: f.given, Recreation: r})
	}
}

// labelled returns the service with the labels from which the next run learns what
// its container was created from.
func (f *fate) labelled() compose.Service {
	s := f.service
	s.Config.Labels = maps.Clone(s.Config.Labels)
	s.Config.Labels[labels.Config] = f.facts.label()
	if variant := s.Image.Variant(); variant != "" {
		s.Config.Labels[labels.Variant] = variant
	}
	return s
}

// makesOne reports whether any container is created or recreated.
func makesOne(fates []*fate) bool {
	return slices.ContainsFunc(fates, func(f *fate) bool { return f.isNew() || f.cause != "" && !f.inUse })
}

const absent = "does not exist"

// Images returns the steps that build or pull the services' images. have has the
// existing ones, ids by reference.
func Images(want compose.Wanted, have map[string]string) Plan {
	var p Plan
	for _, s := range want.Services {
		p.image(s.Image, have)
	}
	return p
}

// image adds the step for an image, once if services share it.
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

// container adds the steps for a service's container that is not recreated: it must
// exist, have its name, be attached to its networks, and run.
func (p *Plan) container(f *fate) {
	s, is := f.service, f.is
	switch {
	case f.isNew():
		p.create(f)
		return
	case f.cause != "":
		p.Kept = append(p.Kept, Kept{Container: is.Name, Cause: f.cause, Users: is.Users})
	case len(f.updates.changes) > 0:
		p.add(Step{Op: OpUpdate, Kind: KindContainer, Name: is.Name, ID: is.ID, Cause: causeOf(f.updates.changes), Limits: f.updates.limits})
	}
	if f.newer && f.cause == "" {
		p.Notes = append(p.Notes, s.Name+": a newer host image is there: berth-provision up --upgrade recreates the host")
	}
	if is.Name != s.Container && is.Project() != "" {
		p.add(Step{Op: OpRename, Kind: KindContainer, Name: is.Name, ID: is.ID, To: s.Container, Cause: "the files call it so"})
		is.Name = s.Container
	}
	for _, n := range s.Networks {
		switch {
		case slices.Contains(f.lost, n.Network):
			p.add(Step{Op: OpDisconnect, Kind: KindContainer, Name: is.Name, Cause: "the network was recreated", Joins: n})
			p.connect(is.Name, n, "the network was recreated")
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
	s := f.labelled()
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

// Down returns the steps that remove a project's containers and networks. Volumes are
// data: they stay, unless withVolumes is true.
func Down(project string, have Observed, withVolumes bool) Plan {
	p := Remove(slices.DeleteFunc(slices.Clone(have.Containers), func(c Container) bool { return c.Project() != project }))
	for _, name := range Labelled(have.Networks, project) {
		p.add(Step{Op: OpRemove, Kind: KindNetwork, Name: name, Cause: "down"})
	}
	volumes := Labelled(have.Volumes, project)
	switch {
	case withVolumes:
		for _, name := range volumes {
			if user := have.otherUser(project, name); user != "" {
				p.Notes = append(p.Notes, "volume "+name+" stays: container "+user+", which is not of this project, has it")
				continue
			}
			p.Volumes = append(p.Volumes, name)
			p.add(Step{Op: OpRemove, Kind: KindVolume, Name: name, Cause: "down"})
		}
	case len(volumes) > 0 && len(p.Steps) > 0:
		p.Notes = append(p.Notes, "volumes stay, with their data: "+strings.Join(volumes, " "))
	}
	return p
}

// otherUser returns the name of a container outside of the project that uses the
// volume; "" if there is none.
func (o Observed) otherUser(project, volume string) string {
	for _, c := range o.Containers {
		if c.Project() != project && slices.ContainsFunc(c.Mounts, func(m container.MountPoint) bool { return m.Name == volume }) {
			return c.Name
		}
	}
	return ""
}

// Remove returns the steps that remove these containers.
func Remove(containers []Container) Plan {
	var p Plan
	for _, c := range containers {
		if len(c.Users) > 0 {
			p.Notes = append(p.Notes, "in use: "+c.HostName()+": "+strings.Join(c.Users, ", "))
		}
		p.remove(c, "down")
	}
	return p
}

// Labelled returns the names of the things that have the project's label.
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
