package box

import (
	"errors"
	"slices"
	"strconv"
	"time"
)

// DeviceState is a device with its holder and its processes. provision gpus --json
// prints it, so its keys must not change. Numbers that the driver does not know are
// -1.
type DeviceState struct {
	Index       string          `json:"index"` // of today; index:index of an instance
	UUID        string          `json:"uuid"`
	Model       string          `json:"model"`
	MIG         string          `json:"mig,omitempty"`      // profile
	Recovery    string          `json:"recovery,omitempty"` // what its driver asks for
	Memory      int64           `json:"memory"`             // bytes, as the next
	MemoryUsed  int64           `json:"memory_used"`
	Utilisation int             `json:"utilisation"` // percent
	Temperature int             `json:"temperature"` // degrees Celsius
	Holders     []DeviceHolder  `json:"holders"`     // null where the containers are not known
	Processes   []DeviceProcess `json:"processes"`   // of the whole card, where the driver does not say which instance
}

// DeviceHolder is a container that holds a device.
type DeviceHolder struct {
	Host      string    `json:"host,omitempty"`
	Project   string    `json:"project,omitempty"` // "": provision did not make it
	Container string    `json:"container"`
	Budget    int64     `json:"budget,omitempty"` // bytes, where it shares the device
	State     string    `json:"state"`
	Since     time.Time `json:"since"`

	id string
}

// DeviceProcess is a process with memory on a device, and whose it is.
type DeviceProcess struct {
	PID       int    `json:"pid"`
	Name      string `json:"name"`
	Memory    int64  `json:"memory"`              // bytes
	Container string `json:"container,omitempty"` // its id where its name is not known; "": a process of the box itself
	Host      string `json:"host,omitempty"`
	User      string `json:"user,omitempty"`    // of the gateway
	Account   string `json:"account,omitempty"` // of the ssh session
	Foreign   bool   `json:"foreign"`           // of nobody who holds the device
}

// Container is what is known of a container.
type Container struct {
	ID      string
	Name    string
	Host    string // "" where it is no host
	Project string // "" where provision did not make it
	State   string // the engine's word
	Created time.Time
	Holds   []Hold
}

// DeviceStates returns the state of each device. containers are all of the box's;
// nil says that they are not known, as without an engine. It fails where the GPUs
// cannot be counted.
func (b Box) DeviceStates(containers []Container) ([]DeviceState, error) {
	if b.NoGPUs != "" {
		return nil, errors.New(b.NoGPUs)
	}
	states := []DeviceState{}
	for k, gpu := range b.GPUs {
		for part, d := range gpu.Devices() {
			s := DeviceState{
				Index: strconv.Itoa(k), UUID: d.UUID, Model: d.Model, MIG: d.Profile, Recovery: d.Broken, Memory: d.Memory,
				MemoryUsed: gpu.MemoryUsed, Utilisation: gpu.Utilisation, Temperature: gpu.Temperature,
				Holders: holdersOf(d, containers), Processes: []DeviceProcess{},
			}
			if d.Profile != "" { // the driver says these of the card only
				s.Index += ":" + strconv.Itoa(part)
				s.MemoryUsed, s.Utilisation = -1, -1
			}
			for _, p := range gpu.Processes {
				if p.Instance == "" || p.Instance == d.UUID {
					s.Processes = append(s.Processes, b.Procs.whose(p, s.Holders, containers))
				}
			}
			states = append(states, s)
		}
	}
	return states, nil
}

// IsForeign reports whether somebody uses the device who was not given it: a
// container that provision did not make, or a process that is in no host that
// holds it.
func (s DeviceState) IsForeign() bool {
	return slices.ContainsFunc(s.Holders, func(h DeviceHolder) bool { return h.Project == "" }) ||
		slices.ContainsFunc(s.Processes, func(p DeviceProcess) bool { return p.Foreign })
}

func holdersOf(d Device, containers []Container) []DeviceHolder {
	if containers == nil {
		return nil
	}
	holders := []DeviceHolder{}
	for _, c := range containers {
		i := slices.IndexFunc(c.Holds, func(h Hold) bool { return h.UUID == d.UUID })
		if i >= 0 {
			holders = append(holders, DeviceHolder{
				Host: c.Host, Project: c.Project, Container: c.Name, Budget: c.Holds[i].Budget, State: c.State, Since: c.Created, id: c.ID,
			})
		}
	}
	return holders
}

// whose says to which container a process on a device belongs, to which host
// that is, and who logged in for it.
func (p Procs) whose(on GPUProcess, holders []DeviceHolder, containers []Container) DeviceProcess {
	id := p.Container(on.PID)
	found := DeviceProcess{PID: on.PID, Name: on.Name, Memory: on.Memory, Container: id[:min(len(id), shortID)], Foreign: containers != nil}
	found.User, found.Account = p.Login(on.PID)
	for _, c := range containers {
		if c.ID == id {
			found.Container, found.Host = c.Name, c.Host
			found.Foreign = !slices.ContainsFunc(holders, func(h DeviceHolder) bool { return h.id == id && h.Project != "" })
		}
	}
	return found
}

// shortID is how much of a container's id docker ps shows.
const shortID = 12
