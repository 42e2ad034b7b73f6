package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"berth/box"
	"berth/docker"
	"berth/provision/apply"
	"berth/provision/compose"
	"berth/provision/plan"
)

func doctorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with the engine, the GPUs and the containers, and what cures it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return doctor(cmd, *o) },
	}
}

func doctor(cmd *cobra.Command, o options) error {
	c, err := examineAll(cmd.Context())
	if err != nil {
		return err
	}
	project, err := compose.Load(cmd.Context(), o.load)
	if err != nil && !errors.Is(err, compose.ErrNoFile) {
		return err
	}
	problems := c.problems()
	if project != nil {
		problems = append(problems, secretsIn(project)...)
	}
	for _, p := range problems {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n  %s\n", p.what, p.cure)
	}
	switch len(problems) {
	case 0:
	case 1:
		return errors.New("1 problem")
	default:
		return fmt.Errorf("%d problems", len(problems))
	}
	fmt.Fprintln(cmd.OutOrStdout(), "nothing is wrong")
	return nil
}

// checkup is what a look at the engine, the box and the containers shows.
type checkup struct {
	silent         string // why the engine does not answer; then nothing is known of it and its containers
	engine         string // version
	cgroupDriver   string
	dataRoot       string
	diskFree       int64 // bytes, where the engine keeps its data
	diskSize       int64 // 0 where it cannot be seen
	unsynchronised bool  // the clock, with no other
	box            box.Box
	staleCDI       string // file that was made for another driver
	containers     []plan.Container
	openFiles      map[string]int  // soft limit by container
	nvmlFails      map[string]bool // by container
}

// examineAll looks at the engine, its box and the containers. An engine of this
// box that does not answer is a problem; one elsewhere is an error.
func examineAll(ctx context.Context) (*checkup, error) {
	api, unanswered := docker.Dial(ctx, "")
	switch {
	case unanswered != nil && engineIsHere():
		c := &checkup{silent: unanswered.Error(), box: box.Read(ctx, box.Engine{})}
		c.examineHere()
		return c, nil
	case unanswered != nil:
		return nil, unanswered
	}
	c, err := examineBox(ctx, api)
	if err != nil {
		return nil, err
	}
	if c.containers, err = apply.ObserveContainers(ctx, api, c.box); err != nil {
		return nil, err
	}
	c.examineContainers(ctx, api)
	return c, nil
}

// examineBox looks at the engine and its box, which is quick.
func examineBox(ctx context.Context, api *client.Client) (*checkup, error) {
	result, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, err
	}
	info := result.Info
	c := &checkup{engine: info.ServerVersion, cgroupDriver: info.CgroupDriver, dataRoot: info.DockerRootDir}
	if c.box, err = apply.ObserveBox(ctx, api); err != nil {
		return nil, err
	}
	if docker.IsLocal(api) {
		c.examineHere()
	}
	return c, nil
}

// examineHere looks at what only a process on the box can see.
func (c *checkup) examineHere() {
	c.staleCDI = staleCDI(c.box.Driver, "/etc/cdi", "/var/run/cdi")
	var disk unix.Statfs_t
	if c.dataRoot != "" && unix.Statfs(c.dataRoot, &disk) == nil {
		c.diskFree, c.diskSize = int64(disk.Bavail)*disk.Bsize, int64(disk.Blocks)*disk.Bsize
	}
	const timeError = 5 // adjtimex(2): TIME_ERROR
	state, err := unix.Adjtimex(&unix.Timex{})
	c.unsynchronised = err == nil && state == timeError
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

// examineContainers asks those that run. One that ends meanwhile has no problem.
func (c *checkup) examineContainers(ctx context.Context, api *client.Client) {
	c.openFiles, c.nvmlFails = map[string]int{}, map[string]bool{}
	for _, e := range c.containers {
		if !e.Running {
			continue
		}
		inspected, err := api.ContainerInspect(ctx, e.ID, client.ContainerInspectOptions{})
		if err == nil && docker.IsLocal(api) {
			c.openFiles[e.ID] = apply.ProcsOf(api).SoftOpenFiles(inspected.Container.State.Pid)
		}
		if len(e.Claim.GPUs) > 0 && !e.HostConfig.Privileged {
			c.nvmlFails[e.ID] = strings.Contains(outputIn(ctx, api, e.ID, "nvidia-smi", "-L"), "Failed to initialize NVML")
		}
	}
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

// warnOfBox is what up says before it acts.
func warnOfBox(ctx context.Context, api *client.Client) error {
	c, err := examineBox(ctx, api)
	if err != nil {
		return err
	}
	for _, p := range c.problems() {
		fmt.Fprintf(os.Stderr, "doctor: %s: %s\n", p.what, p.cure)
	}
	return nil
}
