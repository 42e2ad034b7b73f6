package main

import (
	"fmt"
	"slices"

	"berth/hosts"
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
		if _, ok := have.volumes[v.options.Name]; v.external && !ok {
			lines = append(lines, fmt.Sprintf("volume %s is external and does not exist; docker volume create %s makes it", v.options.Name, v.options.Name))
		}
	}
	for _, s := range want.services {
		if is, there := have.container(s.container); there && is.project() != want.project {
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
		if labels, ok := have.networks[n.name]; ok && !n.external && labels[labelProject] == "" {
			lines = append(lines, fmt.Sprintf("network %s was not made by provision; it is used as it is", n.name))
		}
	}
	for _, v := range want.volumes {
		if labels, ok := have.volumes[v.options.Name]; ok && !v.external && labels[labelProject] == "" {
			lines = append(lines, fmt.Sprintf("volume %s was not made by provision; it is used with the data it has", v.options.Name))
		}
	}
	return lines
}

// strangers are containers that the files do not speak of and that yet matter:
// what is left of a service, and hosts of the same name.
func strangers(want desired, have observed) []string {
	var lines []string
	for _, c := range have.containers {
		if slices.Contains(want.containerNames(), c.name) {
			continue
		}
		service := c.labels[labelService]
		if c.project() == want.project && !slices.Contains(want.disabled, service) {
			lines = append(lines, fmt.Sprintf("container %s stays, though the files have no service %s for it; docker rm -f %s removes it", c.name, service, c.name))
		}
		for _, s := range want.services {
			if c.labels[hosts.LabelHost] == s.host {
				lines = append(lines, fmt.Sprintf("%s: host %s is also container %s; give one of them another name with %s.host", s.name, s.host, c.name, extension))
			}
		}
	}
	return lines
}

// takenByOthers is what running containers reserve that this project will not
// replace.
func takenByOthers(want desired, have observed) resources {
	var sum resources
	for _, c := range have.containers {
		if c.project() == "" || !c.running || slices.Contains(want.containerNames(), c.name) {
			continue
		}
		sum.nanoCPUs += c.reserved.nanoCPUs
		sum.memory += c.reserved.memory
		if c.reserved.gpus == allGPUs {
			sum.gpus = have.machine.gpus
			continue
		}
		sum.gpus += c.reserved.gpus
	}
	return sum
}
