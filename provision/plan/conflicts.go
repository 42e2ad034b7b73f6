package plan

import (
	"fmt"
	"slices"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// conflicts returns a line for each thing that conflicts with the project.
func conflicts(want compose.Wanted, have Observed) []string {
	lines := slices.Concat(drift(want, have), overlaps(want, have), unsafe(want, have))
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
		is, there := have.Container(s.Container)
		own, exists := have.standsFor(want.Project, s)
		switch ofProject := is.Project() == want.Project || is.ComposeProject() == want.Project; {
		case !there || exists && own.ID == is.ID:
		case !ofProject:
			lines = append(lines, fmt.Sprintf("%s: a container %s is there already, and not of this project; remove it (its volumes stay), or take another project name with -p",
				s.Name, s.Container))
		case is.Service() != s.Name:
			lines = append(lines, fmt.Sprintf("%s: its container would be called %s, as that of service %s is", s.Name, s.Container, is.Service()))
		}
	}
	return append(lines, namesakes(want, have)...)
}

// namesakes returns a line for each host whose name another container has, too: a
// login with that name could enter either of them. A stopped container keeps its
// name.
func namesakes(want compose.Wanted, have Observed) []string {
	var lines []string
	hosts := map[string]int{} // how many names other projects have, by project
	meant, named := have.meant(want), map[string][]Container{}
	for _, c := range have.Containers {
		if host := c.Labels[labels.Host]; host != "" && !meant[c.ID] {
			named[host] = append(named[host], c)
		}
	}
	for _, s := range want.Services {
		for _, c := range named[s.Host] {
			whose := "which provision did not make"
			if c.Project() != "" {
				whose = "of project " + c.Project()
			}
			lines = append(lines, fmt.Sprintf("%s: host %s is container %s already, %s; give one of them another name with %s.host", s.Name, s.Host, c.Name, whose, compose.Extension))
			hosts[c.Project()]++
		}
	}
	for project, n := range hosts {
		if n == len(want.Services) && project != want.Project && project != "" {
			lines = append(lines, fmt.Sprintf("all hosts of project %s are project %s's: if its directory was moved or renamed, go on with -p %s, or write name: %s into the file",
				want.Project, project, project, project))
		}
	}
	return lines
}

// adopted returns a warning for each network and volume of the project that somebody
// else created, for example docker compose from the same files.
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
		if on, ok := have.Volumes[v.Name]; ok && !v.External && on[labels.Project] != "" && on[labels.Project] != want.Project {
			lines = append(lines, fmt.Sprintf("volume %s is of project %s; it is used with the data it has, and stays when this project goes", v.Name, on[labels.Project]))
		}
	}
	return lines
}

// strangers returns a warning for each container of the project that is not in the
// files.
func strangers(want compose.Wanted, have Observed) []string {
	var lines []string
	meant, services, disabled := have.meant(want), map[string]bool{}, map[string]bool{}
	for _, s := range want.Services {
		services[s.Name] = true
	}
	for _, name := range want.Disabled {
		disabled[name] = true
	}
	for _, c := range have.Containers {
		service := c.Service()
		ofProject := c.Project() == want.Project || c.ComposeProject() == want.Project
		if !ofProject || meant[c.ID] || disabled[service] {
			continue
		}
		why, cure := "the files have no service "+service+" for it", "berth-provision down "+c.HostName()
		if services[service] {
			why = "service " + service + " has another container"
		}
		if services[service] || c.Project() == "" { // a host's name would not do
			cure = "docker rm -f " + c.Name
		}
		lines = append(lines, fmt.Sprintf("container %s stays, though %s; %s removes it, with what was written in it", c.Name, why, cure))
	}
	return lines
}
