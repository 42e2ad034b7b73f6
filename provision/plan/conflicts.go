package plan

import (
	"fmt"
	"slices"

	"github.com/moby/moby/api/types/mount"

	"berth/labels"
	"berth/provision/compose"
)

// conflicts returns a line for each thing that stands in the way of the project.
func conflicts(want compose.Wanted, have Observed) []string {
	lines := slices.Concat(drift(want, have), unsafe(want, have))
	for _, n := range want.Networks {
		if _, ok := have.Networks[n.Name]; n.External && !ok {
			lines = append(lines, fmt.Sprintf("network %s is external and does not exist; docker network create %s makes it", n.Name, n.Name))
		}
	}
	for _, v := range want.Volumes {
		if _, ok := have.Volumes[v.Name]; v.External && !ok {
			lines = append(lines, fmt.Sprintf("volume %s is external and does not exist; docker volume create %s makes it", v.Name, v.Name))
		}
	}
	for _, s := range want.Services {
		if is, there := have.Container(s.Container); there && is.Project() != want.Project && is.ComposeProject() != want.Project {
			lines = append(lines, fmt.Sprintf("%s: a container %s is there already, and not of this project; remove it (its volumes stay), or take another project name with -p",
				s.Name, s.Container))
		}
	}
	return lines
}

// adopted returns a warning for each network and volume of the project that
// somebody else made, as docker compose does for the same files.
func adopted(want compose.Wanted, have Observed) []string {
	var lines []string
	for _, n := range want.Networks {
		if on, ok := have.Networks[n.Name]; ok && !n.External && on[labels.Project] == "" {
			lines = append(lines, fmt.Sprintf("network %s was not made by provision; it is used as it is", n.Name))
		}
	}
	for _, v := range want.Volumes {
		if on, ok := have.Volumes[v.Name]; ok && !v.External && on[labels.Project] == "" {
			lines = append(lines, fmt.Sprintf("volume %s was not made by provision; it is used with the data it has", v.Name))
		}
	}
	return lines
}

// strangers returns a warning for each container that no file means and that
// matters all the same: what is left of a service, and a host of the same name.
func strangers(want compose.Wanted, have Observed) []string {
	var lines []string
	meant, serviceOf, disabled := have.meant(want), map[string]string{}, map[string]bool{}
	for _, s := range want.Services {
		serviceOf[s.Host] = s.Name
	}
	for _, name := range want.Disabled {
		disabled[name] = true
	}
	for _, c := range have.Containers {
		if meant[c.ID] {
			continue
		}
		service := c.Service()
		if (c.Project() == want.Project || c.ComposeProject() == want.Project) && !disabled[service] {
			lines = append(lines, fmt.Sprintf("container %s stays, though the files have no service %s for it; docker rm -f %s removes it", c.Name, service, c.Name))
		}
		if host := c.Labels[labels.Host]; serviceOf[host] != "" {
			lines = append(lines, fmt.Sprintf("%s: host %s is also container %s; give one of them another name with %s.host", serviceOf[host], host, c.Name, compose.Extension))
		}
	}
	return lines
}

// nameless returns a warning for each volume without a name in the files: the
// container's successor starts with an empty one.
func (e Container) nameless(want compose.Wanted) []string {
	var lines []string
	for _, m := range e.Mounts {
		named := slices.ContainsFunc(want.Volumes, func(v compose.Volume) bool { return v.Name == m.Name })
		if m.Type == mount.TypeVolume && !named {
			lines = append(lines, fmt.Sprintf("volume %s at %s of %s has no name in the files: it stays, but the new container gets another", m.Name, m.Destination, e.Name))
		}
	}
	return lines
}
