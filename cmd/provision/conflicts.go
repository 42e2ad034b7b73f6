package main

import (
	"fmt"
	"slices"

	"github.com/moby/moby/api/types/mount"

	"berth/labels"
)

// conflicts are what stands in the way of a project: a line each.
func conflicts(want desired, have observed) []string {
	var lines []string
	for _, n := range want.networks {
		if _, ok := have.networks[n.name]; n.external && !ok {
			lines = append(lines, fmt.Sprintf("network %s is external and does not exist; docker network create %s makes it", n.name, n.name))
		}
	}
	for _, v := range want.volumes {
		if _, ok := have.volumes[v.name]; v.external && !ok {
			lines = append(lines, fmt.Sprintf("volume %s is external and does not exist; docker volume create %s makes it", v.name, v.name))
		}
	}
	for _, s := range want.services {
		if is, there := have.container(s.container); there && is.project() != want.project && is.composeProject() != want.project {
			lines = append(lines, fmt.Sprintf("%s: a container %s is there already, and not of this project; remove it (its volumes stay), or take another project name with -p",
				s.name, s.container))
		}
	}
	return lines
}

// adopted names the networks and volumes that somebody else made under the
// names that this project uses, as docker compose does for the same files.
func adopted(want desired, have observed) []string {
	var lines []string
	for _, n := range want.networks {
		if on, ok := have.networks[n.name]; ok && !n.external && on[labels.Project] == "" {
			lines = append(lines, fmt.Sprintf("network %s was not made by provision; it is used as it is", n.name))
		}
	}
	for _, v := range want.volumes {
		if on, ok := have.volumes[v.name]; ok && !v.external && on[labels.Project] == "" {
			lines = append(lines, fmt.Sprintf("volume %s was not made by provision; it is used with the data it has", v.name))
		}
	}
	return lines
}

// strangers are containers that the files do not speak of and that yet matter:
// what is left of a service, and hosts of the same name.
func strangers(want desired, have observed) []string {
	var lines []string
	for _, c := range have.containers {
		if isMeant(c, want) {
			continue
		}
		service := c.service()
		if (c.project() == want.project || c.composeProject() == want.project) && !slices.Contains(want.disabled, service) {
			lines = append(lines, fmt.Sprintf("container %s stays, though the files have no service %s for it; docker rm -f %s removes it", c.name, service, c.name))
		}
		for _, s := range want.services {
			if c.labels[labels.Host] == s.host {
				lines = append(lines, fmt.Sprintf("%s: host %s is also container %s; give one of them another name with %s.host", s.name, s.host, c.name, extension))
			}
		}
	}
	return lines
}

// isMeant reports whether the files speak of a container.
func isMeant(c existing, want desired) bool {
	return slices.ContainsFunc(want.services, func(s wantedService) bool {
		is, there := observed{containers: []existing{c}}.standsFor(want.project, s)
		return there && is.id == c.id
	})
}

// nameless are volumes that only the container knew, so that one made in its
// place starts with empty ones.
func (e existing) nameless(want desired) []string {
	var lines []string
	for _, m := range e.mounts {
		named := slices.ContainsFunc(want.volumes, func(v wantedVolume) bool { return v.name == m.Name })
		if m.Type == mount.TypeVolume && !named {
			lines = append(lines, fmt.Sprintf("volume %s at %s of %s has no name in the files: it stays, but the new container gets another", m.Name, m.Destination, e.name))
		}
	}
	return lines
}
