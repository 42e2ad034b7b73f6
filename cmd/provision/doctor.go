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
)

func doctorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with the engine, the GPUs and the containers, and how to mend it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return doctor(cmd, *o) },
	}
}

func doctor(cmd *cobra.Command, o options) error {
	ctx := cmd.Context()
	api, err := docker.Dial(ctx, "")
	if err != nil {
		return err
	}
	c, err := examine(ctx, api)
	if err != nil {
		return err
	}
	if c.containers, err = observeContainers(ctx, api, c.box); err != nil {
		return err
	}
	c.examineContainers(ctx, api)
	project, err := loadProject(ctx, o)
	if err != nil && !errors.Is(err, errNoFile) {
		return err
	}
	findings := c.findings()
	if project != nil {
		findings = append(findings, project.secrets()...)
	}
	for _, f := range findings {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n  %s\n", f.what, f.fix)
	}
	switch len(findings) {
	case 0:
	case 1:
		return errors.New("1 thing to mend")
	default:
		return fmt.Errorf("%d things to mend", len(findings))
	}
	fmt.Fprintln(cmd.OutOrStdout(), "nothing is wrong")
	return nil
}

// checkup is what a look at the engine, the machine and the containers shows.
type checkup struct {
	engine         string // version
	cgroupDriver   string
	dataRoot       string
	diskFree       int64 // where the engine keeps its data
	diskSize       int64 // 0 where it cannot be seen
	unsynchronised bool  // the clock, with no other
	box            box.Box
	staleCDI       string // file that was made for another driver
	containers     []existing
	openFiles      map[string]int  // soft limit by container
	nvmlFails      map[string]bool // by container
}

func examine(ctx context.Context, api *client.Client) (*checkup, error) {
	result, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, err
	}
	info := result.Info
	c := &checkup{
		engine: info.ServerVersion, cgroupDriver: info.CgroupDriver, dataRoot: info.DockerRootDir,
		openFiles: map[string]int{}, nvmlFails: map[string]bool{},
	}
	if c.box, err = observeBox(ctx, api); err != nil {
		return nil, err
	}
	if !docker.IsLocal(api) {
		return c, nil
	}
	c.staleCDI = staleCDI(c.box.Driver, "/etc/cdi", "/var/run/cdi")
	var disk unix.Statfs_t
	if unix.Statfs(c.dataRoot, &disk) == nil {
		c.diskFree, c.diskSize = int64(disk.Bavail)*disk.Bsize, int64(disk.Blocks)*disk.Bsize
	}
	const timeError = 5 // adjtimex(2): TIME_ERROR
	state, err := unix.Adjtimex(&unix.Timex{})
	c.unsynchronised = err == nil && state == timeError
	return c, nil
}

// staleCDI is a specification of NVIDIA's devices in these directories that
// names another driver's libraries, which are no more.
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

// examineContainers asks those that run; one that ends meanwhile is well.
func (c *checkup) examineContainers(ctx context.Context, api *client.Client) {
	for _, e := range c.containers {
		if !e.running {
			continue
		}
		inspected, err := api.ContainerInspect(ctx, e.id, client.ContainerInspectOptions{})
		if err == nil && docker.IsLocal(api) {
			c.openFiles[e.id] = procsOf(api).SoftOpenFiles(inspected.Container.State.Pid)
		}
		if len(e.claim.GPUs) > 0 && !e.host.Privileged {
			c.nvmlFails[e.id] = strings.Contains(outputIn(ctx, api, e.id, "nvidia-smi", "-L"), "Failed to initialize NVML")
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

// warnOfMachine is what up says before it acts.
func warnOfMachine(ctx context.Context, api *client.Client) error {
	c, err := examine(ctx, api)
	if err != nil {
		return err
	}
	for _, f := range c.findings() {
		fmt.Fprintf(os.Stderr, "doctor: %s: %s\n", f.what, f.fix)
	}
	return nil
}
