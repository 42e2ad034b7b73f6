package plan

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"slices"

	"github.com/berth-ssh/berth/labels"
)

// While a container is recreated, both the old and the new one exist. The new one has
// the label berth.replaces with the old one's id, and a name with "new" in it until
// it is known to be up. Then the old one gets a name with "old" in it, the new one
// gets the real name, and the old one is removed. So after an interruption the next
// run can see which of the two must stay.
var passingName = regexp.MustCompile(`^(.+)\.(new|old)-[0-9a-f]{8}$`)

// NewName returns the name of the new container while the old one exists.
func NewName(name string) string { return passing(name, "new") }

// OldName returns the name of the old container when the new one is up.
func OldName(name string) string { return passing(name, "old") }

func passing(name, word string) string {
	var random [4]byte
	rand.Read(random[:])
	return name + "." + word + "-" + hex.EncodeToString(random[:])
}

// lastName returns a container's name without the additions of a recreation.
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

// Recover returns the steps that complete what an interrupted run of a project left
// half done. After them each container is either the old one or the new one, and
// runs. Of those that are recreated together, all are old or all are new.
func Recover(project string, have Observed) Plan {
	var p Plan
	for _, s := range have.interrupted(project) {
		if s.wasDone {
			p.finish(s)
		} else {
			p.undo(s)
		}
	}
	for _, c := range have.Containers { // those whose old container is gone
		m := passingName.FindStringSubmatch(c.Name)
		if m != nil && m[2] == "new" && c.Project() == project && c.Labels[labels.Replaces] != "" && !have.hasID(c.Labels[labels.Replaces]) {
			p.add(Step{Op: OpRename, Kind: KindContainer, Name: c.Name, ID: c.ID, To: c.lastName(), Cause: wasInterrupted})
		}
	}
	return p
}

const wasInterrupted = "up was interrupted"

// interruption is a group of recreations that were interrupted.
type interruption struct {
	name    string // in the containers' label
	pairs   []pair // a container in another one's namespace comes after that one
	wasDone bool   // all new containers were up
}

// pair is an old container with those that were created to replace it: the one that
// stays if the new ones stay, and others that earlier runs left behind.
type pair struct {
	old   Container
	next  Container
	other []Container
}

// interrupted returns the interrupted groups of a project.
func (o Observed) interrupted(project string) []*interruption {
	var all []*interruption
	successors := o.successors(project)
	for _, old := range o.Containers {
		news := successors[old.ID]
		if len(news) == 0 {
			continue
		}
		name := cmp.Or(news[0].Labels[labels.Switch], old.ID)
		i := slices.IndexFunc(all, func(s *interruption) bool { return s.name == name })
		if i < 0 {
			i = len(all)
			all = append(all, &interruption{name: name, wasDone: true})
		}
		at := max(0, slices.IndexFunc(news, func(c Container) bool { return old.isReplacedBy(c) }))
		all[i].wasDone = all[i].wasDone && old.isReplacedBy(news[at])
		all[i].pairs = append(all[i].pairs, pair{old, news[at], slices.Delete(slices.Clone(news), at, at+1)})
	}
	for _, s := range all {
		s.wasDone = s.wasDone || o.began(project, s)
		s.sort()
	}
	return all
}

// isReplacedBy reports whether the new container is up, as far as can be seen.
func (c Container) isReplacedBy(next Container) bool {
	return next.Running || c.isCalledOld() && !next.isPassing()
}

// began reports whether the run had begun to remove the group's old containers, which
// it does only when all new ones are up.
func (o Observed) began(project string, s *interruption) bool {
	return slices.ContainsFunc(s.pairs, func(p pair) bool { return p.old.isCalledOld() }) ||
		slices.ContainsFunc(o.Containers, func(c Container) bool {
			return c.Labels[labels.Switch] == s.name && c.Project() == project && !o.hasID(c.Labels[labels.Replaces])
		})
}

// sort puts a container in another one's namespace after that one, since it must also
// start after it.
func (s *interruption) sort() {
	depth := map[string]int{} // by the old one's id
	for range s.pairs {
		for _, p := range s.pairs {
			for _, partner := range s.pairs {
				if p.livesIn(partner) {
					depth[p.old.ID] = min(max(depth[p.old.ID], depth[partner.old.ID]+1), len(s.pairs))
				}
			}
		}
	}
	slices.SortStableFunc(s.pairs, func(one, two pair) int { return cmp.Compare(depth[one.old.ID], depth[two.old.ID]) })
}

// livesIn reports whether a container of one pair shares a namespace of the other's.
func (p pair) livesIn(other pair) bool {
	for _, name := range []string{other.old.ID, other.old.Name, other.old.lastName(), other.next.ID} {
		if sharesWith(p.old.HostConfig, name) || sharesWith(p.next.HostConfig, name) {
			return true
		}
	}
	return false
}

// finish completes a group in favour of the new containers.
func (p *Plan) finish(s *interruption) {
	for _, one := range s.pairs {
		for _, c := range one.other {
			p.add(Step{Op: OpUndo, Kind: KindContainer, Name: c.Name, ID: c.ID, Cause: wasInterrupted, Recreation: Recreation{Old: one.old}, Beside: true})
		}
	}
	for _, one := range s.pairs {
		p.add(Step{Op: OpFinish, Kind: KindContainer, Name: one.next.Name, ID: one.next.ID, To: one.old.lastName(), Cause: wasInterrupted, Recreation: Recreation{Old: one.old}})
	}
}

// undo completes a group in favour of the old containers. They start after all new
// ones have released what only one container can have.
func (p *Plan) undo(s *interruption) {
	for _, one := range slices.Backward(s.pairs) {
		if one.next.Running && len(s.pairs) > 1 {
			p.add(Step{Op: OpStop, Kind: KindContainer, Name: one.next.Name, ID: one.next.ID, Cause: wasInterrupted})
		}
	}
	for _, one := range s.pairs {
		for _, c := range append(slices.Clone(one.other), one.next) {
			p.add(Step{Op: OpUndo, Kind: KindContainer, Name: c.Name, ID: c.ID, Cause: wasInterrupted, Recreation: Recreation{Old: one.old}})
		}
	}
}

func (c Container) isPassing() bool { return passingName.MatchString(c.Name) }

func (o Observed) hasID(id string) bool {
	return id != "" && slices.ContainsFunc(o.Containers, func(c Container) bool { return c.ID == id })
}

// successors returns the project's containers that were created to replace others, by
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

// Switches reports whether the plan recreates containers, or completes an interrupted
// recreation.
func (p Plan) Switches() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Op == OpRecreate || s.Op == OpUndo || s.Op == OpFinish })
}

// after returns what exists after these steps of recovery.
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
