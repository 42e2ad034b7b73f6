package plan

import (
	"cmp"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// roster is an index of containers: there may be many thousands, and as many
// services.
type roster struct {
	byName    map[string]int
	byService map[[2]string][]int // by project and service, in the labels of provision or docker compose
}

// indexed returns the observation with an index of its containers.
func (o Observed) indexed() Observed {
	r := roster{map[string]int{}, map[[2]string][]int{}}
	for i, c := range o.Containers {
		if _, taken := r.byName[c.Name]; !taken {
			r.byName[c.Name] = i
		}
		key := [2]string{cmp.Or(c.Project(), c.ComposeProject()), cmp.Or(c.Labels[labels.Service], c.Labels[labels.ComposeService])}
		r.byService[key] = append(r.byService[key], i)
	}
	o.roster = &r
	return o
}

// ofService returns the containers that provision or docker compose created for a
// service.
func (o Observed) ofService(project, service string) []Container {
	if o.roster == nil {
		o = o.indexed()
	}
	var found []Container
	for _, i := range o.roster.byService[[2]string{project, service}] {
		found = append(found, o.Containers[i])
	}
	return found
}

// meant returns the ids of the containers of the project's services.
func (o Observed) meant(want compose.Wanted) map[string]bool {
	ids := map[string]bool{}
	for _, s := range want.Services {
		if c, there := o.standsFor(want.Project, s); there {
			ids[c.ID] = true
		}
	}
	return ids
}
