package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"

	"berth/box"
	"berth/labels"
	"berth/ledger"
	"berth/provision/compose"
)

// observed is what is there.
type observed struct {
	box        box.Box
	images     map[string]string            // ids by reference
	networks   map[string]map[string]string // labels by name
	volumes    map[string]map[string]string
	containers []existing // every one on the engine: each may hold something
	ignored    []string   // names of those that hold nothing
}

// existing is a container as it is now.
type existing struct {
	id       string
	name     string
	labels   map[string]string
	networks []string
	mounts   []container.MountPoint
	host     container.HostConfig
	running  bool
	restarts bool      // the engine starts it again
	state    string    // the engine's word
	since    time.Time // of that state
	created  string
	claim    ledger.Claim
	users    []string // who is on it; only known of those that are asked for
}

func (o observed) container(name string) (existing, bool) {
	for _, c := range o.containers {
		if c.name == name {
			return c, true
		}
	}
	return existing{}, false
}

// standsFor is a service's container: provision's, or the one that docker
// compose made for the same project.
func (o observed) standsFor(project string, s compose.Service) (existing, bool) {
	if c, ok := o.container(s.Container); ok && c.project() == project {
		return c, true
	}
	for _, c := range o.containers {
		if c.project() == "" && c.composeProject() == project && c.labels[labels.ComposeService] == s.Name {
			return c, true
		}
	}
	return existing{}, false
}

func (e existing) project() string { return e.labels[labels.Project] }

func (e existing) composeProject() string { return e.labels[labels.ComposeProject] }

func (e existing) service() string {
	return cmp.Or(e.labels[labels.Service], e.labels[labels.ComposeService])
}

// hostName is what people call it: one that is no host yet by its service, or its name.
func (e existing) hostName() string {
	return cmp.Or(e.labels[labels.Host], e.service(), e.name)
}

// holder is how refusals name a container.
func (e existing) holder() string {
	name := "container " + e.name + " (not provision's)"
	if project := e.project(); project != "" {
		name = fmt.Sprintf("host %s of project %s", e.hostName(), project)
	}
	if !e.running && e.state != "created" && e.state != "restarting" {
		name += " (" + e.state + ")"
	}
	return name
}

// counts: provision's own hold what they were given until they are removed, so
// that starting one again never fails; another's may come back at boot.
func (e existing) counts() bool {
	return e.project() != "" || e.running || e.restarts || e.state == "paused" || e.state == "restarting"
}

func (e existing) createdAt() time.Time {
	at, _ := time.Parse(time.RFC3339Nano, e.created)
	return at
}
