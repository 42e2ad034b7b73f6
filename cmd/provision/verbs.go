package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"berth/box"
	"berth/docker"
	"berth/provision/apply"
	"berth/provision/compose"
	"berth/provision/plan"
)

// lifeCommands do one thing to each host: those that are named, or all of the
// project.
func lifeCommands(o *options) []*cobra.Command {
	return []*cobra.Command{
		hostsCommand(o, plan.OpStart, "start hosts; without a name, all of the project"),
		hostsCommand(o, plan.OpStop, "stop hosts; they keep what they hold"),
		hostsCommand(o, plan.OpRestart, "restart hosts"),
	}
}

func hostsCommand(o *options, verb plan.Op, short string) *cobra.Command {
	return &cobra.Command{
		Use:               string(verb) + " [HOST…]",
		Short:             short,
		ValidArgsFunction: completeHosts(o),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx := cmd.Context()
			api, found, err := findHosts(ctx, *o, names)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: the project has no hosts")
			}
			e := &apply.Executor{API: api, Progress: apply.NewProgress(os.Stderr)}
			var errs []error
			for _, c := range found {
				if verb == plan.OpStart && c.Running {
					continue
				}
				if err := e.CarryOut(ctx, plan.Step{Op: verb, Kind: plan.KindContainer, Name: c.Name, ID: c.ID}); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", c.HostName(), err))
				}
			}
			return errors.Join(errs...)
		},
	}
}

func logsCommand(o *options) *cobra.Command {
	var follow bool
	var tail string
	command := &cobra.Command{
		Use:               "logs HOST",
		Short:             "What a host's container wrote",
		Args:              oneHost,
		ValidArgsFunction: completeHosts(o),
		RunE: func(cmd *cobra.Command, names []string) error {
			api, found, err := findHosts(cmd.Context(), *o, names)
			if err != nil {
				return err
			}
			return copyLogs(cmd, api, found[0], client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow, Tail: tail})
		},
	}
	command.Flags().BoolVar(&follow, "follow", false, "go on until Ctrl-C")
	command.Flags().StringVar(&tail, "tail", "all", "so many lines from the end")
	return command
}

func copyLogs(cmd *cobra.Command, api *client.Client, c plan.Container, options client.ContainerLogsOptions) error {
	ctx := cmd.Context()
	inspected, err := api.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	logs, err := api.ContainerLogs(ctx, c.ID, options)
	if err != nil {
		return err
	}
	defer logs.Close()
	if inspected.Container.Config.Tty {
		_, err = io.Copy(cmd.OutOrStdout(), logs)
	} else {
		_, err = stdcopy.StdCopy(cmd.OutOrStdout(), cmd.ErrOrStderr(), logs)
	}
	if ctx.Err() != nil {
		return nil // Ctrl-C is how following ends
	}
	return err
}

// execCommand leaves the terminal to the docker command, which knows how.
func execCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:               "exec HOST [COMMAND…]",
		Short:             "Run a command in a host, by docker exec; a shell where none is given",
		Args:              hostFirst,
		ValidArgsFunction: completeHosts(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, found, err := findHosts(cmd.Context(), *o, args[:1])
			if err != nil {
				return err
			}
			if !found[0].Running {
				return fmt.Errorf("%s does not run: provision start %s", found[0].HostName(), found[0].HostName())
			}
			docker := exec.Command("docker", dockerExec(found[0], args[1:], isTerminal(os.Stdin))...)
			docker.Stdin, docker.Stdout, docker.Stderr = os.Stdin, os.Stdout, os.Stderr
			err = docker.Run()
			var ended *exec.ExitError
			switch {
			case errors.As(err, &ended):
				return exitCode(ended.ExitCode())
			case errors.Is(err, exec.ErrNotFound):
				return errors.New("there is no docker command here, which exec takes its terminal from; ssh through the gateway needs none")
			}
			return err
		},
	}
	command.Flags().SetInterspersed(false) // what follows the host is the command's
	return command
}

// hostFirst are the arguments of a command that is for one host.
func hostFirst(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("which host? provision %s; provision ps lists them", cmd.Use)
	}
	return nil
}

func oneHost(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("one host at a time: provision %s", cmd.Use)
	}
	return hostFirst(cmd, args)
}

func dockerExec(c plan.Container, command []string, terminal bool) []string {
	args := []string{"exec", "-i"}
	if terminal {
		args = append(args, "-t")
	}
	if len(command) == 0 {
		command = []string{"sh", "-c", "exec bash || exec sh"}
	}
	return append(append(args, c.ID), command...)
}

// exitCode is the end of a command that was run for somebody.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("the command ended with code %d", int(e)) }

// findHosts are the project's containers that are meant: by the host's name or
// the service's, or all of them.
func findHosts(ctx context.Context, o options, names []string) (*client.Client, []plan.Container, error) {
	project, err := compose.ProjectName(ctx, o.load)
	if err != nil {
		return nil, nil, err
	}
	api, err := docker.Dial(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	all, err := apply.ObserveContainers(ctx, api, box.Box{})
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(all, func(c plan.Container) bool { return c.Project() == "" || project != "" && c.Project() != project })
	if len(names) == 0 {
		if project == "" {
			return nil, nil, fmt.Errorf("%w, or a project with -p, or hosts", compose.ErrNoFile)
		}
		return api, all, nil
	}
	var found []plan.Container
	for _, name := range names {
		c, err := hostNamed(name, all)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, c)
	}
	return api, found, nil
}

func hostNamed(name string, all []plan.Container) (plan.Container, error) {
	var known []string
	var found []plan.Container
	for _, c := range all {
		known = append(known, c.HostName())
		if c.HostName() == name {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return plan.Container{}, fmt.Errorf("%s is a host of several projects; say which with -p", name)
	case len(known) == 0:
		return plan.Container{}, fmt.Errorf("there is no host %s: provision made none here", name)
	}
	return plan.Container{}, fmt.Errorf("there is no host %s; there are %s", name, strings.Join(known, ", "))
}

func completeHosts(o *options) cobra.CompletionFunc {
	return func(cmd *cobra.Command, already []string, _ string) ([]string, cobra.ShellCompDirective) {
		if cmd.Name() == "exec" && len(already) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		_, all, err := findHosts(cmd.Context(), *o, nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, c := range all {
			if !slices.Contains(already, c.HostName()) {
				names = append(names, c.HostName())
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func buildCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:   "build",
		Short: "Build and pull the images of the compose files, and make nothing of them yet",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			j, err := newJob(ctx, *o)
			if err != nil {
				return err
			}
			images, err := apply.ObserveImages(ctx, j.api, j.want.ImageRefs())
			if err != nil {
				return err
			}
			p := plan.Images(j.want, images)
			showPlan(cmd, p)
			e := &apply.Executor{API: j.api, Progress: apply.NewProgress(os.Stderr)}
			return e.Apply(ctx, p)
		},
	}
	return command
}
