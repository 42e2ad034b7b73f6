package plan

import (
	"cmp"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/provision/compose"
)

// Observed is what is there.
type Observed struct {
	Box           box.Box
	Images        map[string]string            // ids by reference
	ImageConfigs  map[string]ImageConfig       // of those that are there
	Networks      map[string]map[string]string // labels by name
	Volumes       map[string]map[string]string
	Containers    []Container             // every one on the engine: each may hold something
	NetworkStates map[string]NetworkState // by name
	VolumeStates  map[string]VolumeState
	Kept          []KeptImage
	Ignored       []string // names of those that hold nothing
	NoKeep        string   // why this engine carries nothing over that was written in a container; "" where it does
	Marks         Marks    // by which their labels were judged

	roster *roster // of the containers; nil where they are looked for one by one
}

// Container is a container as it is now.
type Container struct {
	ID         string
	Name       string
	Labels     map[string]string
	Networks   []string
	NetworkIDs map[string]string // by name, as it was attached
	Mounts     []container.MountPoint
	HostConfig container.HostConfig
	Running    bool
	Restarts   bool      // the engine starts it again
	Done       bool      // its command ended with code 0
	State      string    // the engine's word
	Since      time.Time // of that state
	Created    time.Time
	Claim      ledger.Claim
	Sees       []string // UUIDs of the devices that it can use, held or not
	Users      []string // who is on it; only known of those that are asked for
	PID        int      // of its first process, on the box
	Image      string   // as the container was told
	ImageID    string
	Health     *container.HealthConfig
	Foreign    bool // known not to be made by provision, whatever its labels say
}

// Container returns the container of this name.
func (o Observed) Container(name string) (Container, bool) {
	if o.roster == nil {
		o = o.indexed()
	}
	i, there := o.roster.byName[name]
	if !there {
		return Container{}, false
	}
	return o.Containers[i], true
}

// standsFor returns a service's container: the one that provision made, or else the
// one that docker compose made for the same project. Labels say which it is; of
// several it is the one with the service's name, or else the first.
func (o Observed) standsFor(project string, s compose.Service) (Container, bool) {
	var own, foreign []Container
	for _, c := range o.ofService(project, s.Name) {
		switch {
		case c.Project() == project && c.Labels[labels.Service] == s.Name:
			own = append(own, c)
		case c.Project() == "" && c.ComposeProject() == project && c.Labels[labels.ComposeService] == s.Name:
			foreign = append(foreign, c)
		}
	}
	found := own
	if len(own) == 0 {
		found = foreign
	}
	for _, c := range found {
		if c.Name == s.Container {
			return c, true
		}
	}
	if len(found) > 0 {
		return found[0], true
	}
	return Container{}, false
}

// madeFrom returns the id of the image that the container was made from, whatever
// was carried over into it since.
func (e Container) madeFrom() string {
	if e.Project() != "" {
		return cmp.Or(e.Labels[labels.Image], e.ImageID)
	}
	return e.ImageID
}

// maxLabel is how long a name in a label may be, in runes.
const maxLabel = 255

// label returns a label's value, fit to be shown. A container has its image's
// labels too, so the value is whatever the image's author likes.
func (e Container) label(name string) string { return printable.Line(e.Labels[name], maxLabel) }

// Project returns the project that provision made it for, or "".
func (e Container) Project() string { return e.label(labels.Project) }

// ComposeProject returns the project that docker compose made it for, or "".
func (e Container) ComposeProject() string { return e.label(labels.ComposeProject) }

// Service returns the service that either made it for, or "".
func (e Container) Service() string {
	return cmp.Or(e.label(labels.Service), e.label(labels.ComposeService))
}

// HostName returns what people call it: its host, or else its service, or else its
// name.
func (e Container) HostName() string {
	return cmp.Or(e.label(labels.Host), e.Service(), e.Name)
}

// Holder returns how refusals name the container.
func (e Container) Holder() string {
	name := "container " + e.Name + " (not provision's)"
	if e.HostConfig.Privileged {
		name = "container " + e.Name + " (not provision's; privileged, so it sees every GPU: --ignore " + e.Name + " if it uses none)"
	}
	if project := e.Project(); project != "" && !e.Foreign {
		name = fmt.Sprintf("host %s of project %s", e.HostName(), project)
	}
	if !e.Running && e.State != "created" && e.State != "restarting" {
		name += " (" + e.State + ")"
	}
	return name
}

// Counts reports whether the container's claim counts. Provision's own hold what they
// were given until they are removed, so that one that was stopped can always start
// again; those of others hold it while they run, or may come back at boot.
func (e Container) Counts() bool {
	return e.Project() != "" && !e.Foreign || e.Running || e.Restarts || e.State == "paused" || e.State == "restarting"
}
