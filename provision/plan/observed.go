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

// Observed is what exists.
type Observed struct {
	Box           box.Box
	Images        map[string]string            // ids by reference
	ImageConfigs  map[string]ImageConfig       // of the existing images
	Networks      map[string]map[string]string // labels by name
	Volumes       map[string]map[string]string
	Containers    []Container             // all of the engine's, since each may hold something
	NetworkStates map[string]NetworkState // by name
	VolumeStates  map[string]VolumeState
	Kept          []KeptImage
	Ignored       []string // names of containers whose claims do not count
	NoKeep        string   // why this engine carries nothing over that was written in a container; "" where it does
	Marks         Marks    // with which the labels were judged

	roster *roster // index of the containers; nil: they are searched one by one
}

// Container is the present state of a container.
type Container struct {
	ID         string
	Name       string
	Labels     map[string]string
	Networks   []string
	NetworkIDs map[string]string // by the name of the network, as it was attached
	Mounts     []container.MountPoint
	HostConfig container.HostConfig
	Running    bool
	Restarts   bool      // the engine restarts it when it ends
	Done       bool      // its command has ended with code 0
	State      string    // the engine's name of its state
	Since      time.Time // when it entered that state
	Created    time.Time
	Claim      ledger.Claim
	Sees       []string // UUIDs of the devices that it can use, whether it holds them or not
	Users      []string // the people on it; set only for containers that were asked
	PID        int      // of its first process, on the box
	Image      string   // the image reference that the container was created with
	ImageID    string
	Health     *container.HealthConfig
	Foreign    bool // it is known that provision did not create it, whatever its labels say
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

// standsFor returns a service's container: the one that provision created, or else
// the one that docker compose created for the same project. It is found by labels; of
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

// madeFrom returns the id of the image that the container was created from, without
// what was carried over into it.
func (e Container) madeFrom() string {
	if e.Project() != "" {
		return cmp.Or(e.Labels[labels.Image], e.ImageID)
	}
	return e.ImageID
}

// maxLabel is how much of a name in a label is shown, in runes.
const maxLabel = 255

// label returns a label's value, made safe to show. A container also has its image's
// labels, whose values the image's author has chosen.
func (e Container) label(name string) string { return printable.Line(e.Labels[name], maxLabel) }

// Project returns the project for which provision created the container, or "".
func (e Container) Project() string { return e.label(labels.Project) }

// ComposeProject returns the project for which docker compose created the container,
// or "".
func (e Container) ComposeProject() string { return e.label(labels.ComposeProject) }

// Service returns the service for which either of them created the container, or "".
func (e Container) Service() string {
	return cmp.Or(e.label(labels.Service), e.label(labels.ComposeService))
}

// HostName returns a name of the container for people: its host, or else its service,
// or else its name.
func (e Container) HostName() string {
	return cmp.Or(e.label(labels.Host), e.Service(), e.Name)
}

// Holder returns the container's name in refusals.
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

// Counts reports whether the container's claim counts. Those of provision hold what
// they were given until they are removed, so that a stopped one can always start
// again. Others hold it while they run, or if they start at boot.
func (e Container) Counts() bool {
	return e.Project() != "" && !e.Foreign || e.Running || e.Restarts || e.State == "paused" || e.State == "restarting"
}
