// Package doctor examines a box, its engine and the containers on it, and says what
// is wrong and what to do about it.
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

// Checkup is the result of an examination of the engine, the box and the containers.
type Checkup struct {
	Silent         string // why the engine does not answer; then nothing is known of it and its containers
	Engine         string // version
	CgroupDriver   string
	DataRoot       string
	DiskFree       int64 // bytes, on the disk of the engine's data
	DiskSize       int64 // 0 if unknown
	Unsynchronised bool  // the clock is not synchronised
	Box            box.Box
	StaleCDI       string      // path of a CDI file that was made for another driver
	Containers     []Container // those that run
	Ended          []Ended     // those that provision made and that do not run
	Kept           []plan.KeptImage
}

// Ended is a container that does not run.
type Ended struct {
	Name string
	Host string // its name for berth-provision logs
	Why  docker.Ending
}

// Container is a container that runs.
type Container struct {
	ID         string
	Name       string
	Host       string // its name for berth-provision restart
	SSHPort    string // on which it publishes its port 22; "" where it does not
	Socket     string // path that leads to the Docker socket in it; "" where none does
	HoldsGPU   bool
	Privileged bool // it has every device, so it cannot lose one
	ShmSize    int64
	HostIPC    bool // it uses the box's /dev/shm
	OwnLimits  bool // its first process raises its own limits
	OpenFiles  int  // initial limit of its first process; 0 if unknown
	LostGPU    bool // the driver does not answer inside it
}

// Examine examines the engine, the box and every container. It runs a command in each
// container that holds a GPU, for up to 20 seconds.
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

// ExamineBox examines only the engine and the box, which is quick.
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

// WithoutEngine examines only the box. err is the error of its engine.
func WithoutEngine(ctx context.Context, err error) *Checkup {
	c := &Checkup{Silent: err.Error(), Box: box.Read(ctx, box.Engine{})}
	c.examineHere()
	return c
}

// examineHere examines what only a process on the box can see.
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

// staleCDI returns the path of a CDI specification of NVIDIA's devices in these
// directories that names the libraries of another driver version, which do not exist
// any more; "" if there is none.
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

// examineContainers examines those of the containers that run. It asks for their
// limits, and whether they still have their GPU. A container that ends meanwhile has
// no problem.
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

// containerOf returns what is known of a container without asking inside it.
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

// isHostImage reports whether a container runs the host image, whose entrypoint sets
// its own limits.
func isHostImage(e plan.Container) bool {
	return slices.ContainsFunc(e.Mounts, func(m container.MountPoint) bool { return m.Destination == image.HostKeys })
}

// outputIn returns the output of a command in a container; "" if it does not have
// that command.
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
	io.Copy(&out, io.LimitReader(attached.Reader, 64<<10)) // what came before an error is enough
	return out.String()
}
