// Package doctor looks at a box, its engine and the containers on it, and says
// what is wrong and what cures it.
package doctor

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
)

// Checkup is what a look at the engine, the box and the containers shows.
type Checkup struct {
	Silent         string // why the engine does not answer; then nothing is known of it and its containers
	Engine         string // version
	CgroupDriver   string
	DataRoot       string
	DiskFree       int64 // bytes, where the engine keeps its data
	DiskSize       int64 // 0 where it cannot be seen
	Unsynchronised bool  // the clock, with no other
	Box            box.Box
	StaleCDI       string      // file that was made for another driver
	Containers     []Container // that run
	Ended          []Ended     // that provision made and that do not
	Kept           []plan.KeptImage
}

// Ended is a container that does not run.
type Ended struct {
	Name string
	Host string // by which berth-provision logs knows it
	Why  docker.Ending
}

// Container is one that runs.
type Container struct {
	ID         string
	Name       string
	Host       string // by which berth-provision restart knows it
	SSHPort    string // on which it publishes its port 22; "" where it does not
	Socket     string // path that leads to the Docker socket in it; "" where none does
	HoldsGPU   bool
	Privileged bool // it has every device, and cannot lose one
	ShmSize    int64
	HostIPC    bool // its /dev/shm is the box's
	OwnLimits  bool // its first process raises its limits itself
	OpenFiles  int  // that its first process may have at first; 0 where that is not known
	LostGPU    bool // the driver does not answer in it
}

// Examine looks at the engine, the box and every container. It runs a command in
// each container that holds a GPU, for up to 20 seconds.
func Examine(ctx context.Context, api *client.Client) (*Checkup, error) {
	c, err := ExamineBox(ctx, api)
	if err != nil {
		return nil, err
	}
	containers, err := apply.ObserveContainers(ctx, api, c.Box)
	if err != nil {
		return nil, err
	}
	if c.Kept, err = apply.ObserveKept(ctx, api, containers); err != nil {
		return nil, err
	}
	c.examineContainers(ctx, api, containers)
	return c, nil
}

// ExamineBox looks at the engine and the box, which is quick.
func ExamineBox(ctx context.Context, api *client.Client) (*Checkup, error) {
	b, err := apply.ObserveBox(ctx, api)
	if err != nil {
		return nil, err
	}
	result, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, err
	}
	info := result.Info
	c := &Checkup{Engine: info.ServerVersion, CgroupDriver: info.CgroupDriver, DataRoot: info.DockerRootDir, Box: b}
	if docker.IsLocal(api) {
		c.examineHere()
	}
	return c, nil
}

// WithoutEngine looks at the box alone. err is what became of asking its engine.
func WithoutEngine(ctx context.Context, err error) *Checkup {
	c := &Checkup{Silent: err.Error(), Box: box.Read(ctx, box.Engine{})}
	c.examineHere()
	return c
}

// examineHere looks at what only a process on the box can see.
func (c *Checkup) examineHere() {
	c.StaleCDI = staleCDI(c.Box.Driver, "/etc/cdi", "/var/run/cdi")
	var disk unix.Statfs_t
	if c.DataRoot != "" && unix.Statfs(c.DataRoot, &disk) == nil {
		c.DiskFree, c.DiskSize = int64(disk.Bavail)*disk.Bsize, int64(disk.Blocks)*disk.Bsize
	}
	const timeError = 5 // adjtimex(2): TIME_ERROR
	state, err := unix.Adjtimex(&unix.Timex{})
	c.Unsynchronised = err == nil && state == timeError
}

// staleCDI is a specification of NVIDIA's devices in these directories that
// names the libraries of another driver, which are not there any more.
func staleCDI(driver string, dirs ...string) string {
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err == nil && driver != "" && bytes.Contains(text, []byte("nvidia.com/gpu")) && !bytes.Contains(text, []byte(driver)) {
				return file
			}
		}
	}
	return ""
}

// examineContainers looks at those of these containers that run, and asks them
// for their limits, and whether they still have their GPU. One that ends meanwhile
// has no problem.
func (c *Checkup) examineContainers(ctx context.Context, api *client.Client, containers []plan.Container) {
	for _, is := range containers {
		if !is.Running {
			c.examineEnded(ctx, api, is)
			continue
		}
		e := containerOf(is)
		inspected, err := api.ContainerInspect(ctx, e.ID, client.ContainerInspectOptions{})
		if err != nil {
			continue
		}
		e.OpenFiles = c.Box.Procs.SoftOpenFiles(inspected.Container.State.Pid)
		if e.HoldsGPU && !e.Privileged {
			e.LostGPU = strings.Contains(outputIn(ctx, api, e.ID, "nvidia-smi", "-L"), "Failed to initialize NVML")
		}
		c.Containers = append(c.Containers, e)
	}
}

func (c *Checkup) examineEnded(ctx context.Context, api *client.Client, is plan.Container) {
	if is.Project() != "" {
		c.Ended = append(c.Ended, Ended{is.Name, is.HostName(), apply.WhyEnded(ctx, api, is)})
	}
}

// containerOf is a container as far as it can have problems.
func containerOf(is plan.Container) Container {
	c := Container{
		ID: is.ID, Name: is.Name, Host: is.HostName(), ShmSize: is.HostConfig.ShmSize, HostIPC: is.HostConfig.IpcMode.IsHost(),
		HoldsGPU: len(is.Claim.GPUs) > 0, Privileged: is.HostConfig.Privileged, OwnLimits: isHostImage(is),
	}
	if bindings := is.HostConfig.PortBindings[network.MustParsePort("22/tcp")]; len(bindings) > 0 {
		c.SSHPort = bindings[0].HostPort
	}
	for _, m := range is.Mounts {
		if c.Socket == "" && m.Source != "" && compose.LeadsToDockerSocket(m.Source) {
			c.Socket = m.Source
		}
	}
	return c
}

// isHostImage reports whether it runs the host image, whose entrypoint sees to its
// own limits.
func isHostImage(e plan.Container) bool {
	return slices.ContainsFunc(e.Mounts, func(m container.MountPoint) bool { return m.Destination == image.HostKeys })
}

// outputIn is what a command in a container says; "" where it has no such command.
func outputIn(ctx context.Context, api *client.Client, id string, command ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	created, err := api.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return ""
	}
	attached, err := api.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return ""
	}
	defer attached.Close()
	stop := context.AfterFunc(ctx, attached.Close)
	defer stop()
	var out strings.Builder
	io.Copy(&out, io.LimitReader(attached.Reader, 64<<10)) // what was said until it broke off is enough
	return out.String()
}
