package plan

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"slices"

	"berth/labels"
)

// While a container is recreated two of them are there. The new one has the label
// berth.replaces with the id of the old one, and a name with new in it until it is
// known to be up; then the old one gets a name with old in it, the new one gets the
// name, and the old one is removed. So whoever comes after an interruption knows
// which of the two is to stay.
var passingName = regexp.MustCompile(`^(.+)\.(new|old)-[0-9a-f]{8}$`)

// NewName returns the name of a container's successor while both are there.
func NewName(name string) string { return passing(name, "new") }

// OldName returns the name of a container whose successor is up.
func OldName(name string) string { return passing(name, "old") }

func passing(name, word string) string {
	var random [4]byte
	rand.Read(random[:])
	return name + "." + word + "-" + hex.EncodeToString(random[:])
}

// lastName returns the name that a container has when it is not being recreated.
func (c Container) lastName() string {
	if m := passingName.FindStringSubmatch(c.Name); m != nil {
		return m[1]
	}
	return c.Name
}

func (c Container) isCalledOld() bool {
	m := passingName.FindStringSubmatch(c.Name)
	return m != nil && m[2] == "old"
}

// Recover returns the steps that end what an interrupted run of a project's left half
// done: each container is the old one or the new one, and runs.
func Recover(project string, have Observed) Plan {
	var p Plan
	successors := have.successors(project)
	for _, old := range have.Containers {
		if news := successors[old.ID]; len(news) > 0 {
			p.recoverOne(old, news)
		}
	}
	for _, c := range have.Containers { // the old one is gone
		m := passingName.FindStringSubmatch(c.Name)
		if m != nil && m[2] == "new" && c.Project() == project && c.Labels[labels.Replaces] != "" && !have.hasID(c.Labels[labels.Replaces]) {
			p.add(Step{Op: OpRename, Kind: KindContainer, Name: c.Name, ID: c.ID, To: c.lastName(), Cause: "up was interrupted"})
		}
	}
	return p
}

func (p *Plan) recoverOne(old Container, news []Container) {
	const cause = "up was interrupted"
	at := slices.IndexFunc(news, func(c Container) bool { return c.Running || old.isCalledOld() && !c.isPassing() })
	if at < 0 && old.isCalledOld() {
		at = 0
	}
	for i, c := range news {
		if i != at {
			p.add(Step{Op: OpUndo, Kind: KindContainer, Name: c.Name, ID: c.ID, Cause: cause, Recreation: Recreation{Old: old}, Beside: at >= 0})
		}
	}
	if at >= 0 {
		p.add(Step{Op: OpFinish, Kind: KindContainer, Name: news[at].Name, ID: news[at].ID, To: old.lastName(), Cause: cause, Recreation: Recreation{Old: old}})
	}
}

func (c Container) isPassing() bool { return passingName.MatchString(c.Name) }

func (o Observed) hasID(id string) bool {
	return id != "" && slices.ContainsFunc(o.Containers, func(c Container) bool { return c.ID == id })
}

// successors returns the project's containers that were made to replace others, by
// the ids of those.
func (o Observed) successors(project string) map[string][]Container {
	all := map[string][]Container{}
	for _, c := range o.Containers {
		if replaced := c.Labels[labels.Replaces]; replaced != "" && c.Project() == project {
			all[replaced] = append(all[replaced], c)
		}
	}
	return all
}

// Switches reports whether the plan recreates containers, or ends what was begun.
func (p Plan) Switches() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Op == OpRecreate || s.Op == OpUndo || s.Op == OpFinish })
}

// after returns what is there when these steps of recovery are done.
func (o Observed) after(p Plan) Observed {
	o.Containers = slices.Clone(o.Containers)
	for _, s := range p.Steps {
		switch s.Op {
		case OpUndo:
			o.without(s.ID)
			if !s.Beside {
				o.running(s.Recreation.Old.ID, s.Recreation.Old.lastName())
			}
		case OpFinish:
			o.without(s.Recreation.Old.ID)
			o.running(s.ID, s.To)
		case OpRename:
			o.rename(s.ID, s.To)
		}
	}
	return o
}

func (o *Observed) without(id string) {
	o.Containers = slices.DeleteFunc(o.Containers, func(c Container) bool { return c.ID == id })
}

func (o *Observed) running(id, name string) {
	o.rename(id, name)
	for i, c := range o.Containers {
		if c.ID == id && !c.Running {
			o.Containers[i].Running, o.Containers[i].State = true, "running"
		}
	}
}

func (o *Observed) rename(id, name string) {
	for i, c := range o.Containers {
		if c.ID == id {
			o.Containers[i].Name = name
		}
	}
}
