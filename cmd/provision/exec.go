package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/plan"
)

// execCommand returns the verb exec, which runs the docker command, since that
// handles the terminal.
func execCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:               "exec HOST [COMMAND…]",
		Short:             "Run a command in a host, by docker exec; a shell if none is given",
		Args:              hostFirst,
		ValidArgsFunction: completeHosts(o),
		RunE: func(cmd *cobra.Command, args []string) error {
			b := onBox{*o}
			_, found, err := b.find(cmd.Context(), args[:1])
			if err != nil {
				return err
			}
			if !found[0].Running {
				return fmt.Errorf("%s does not run: berth-provision start %s", found[0].HostName(), found[0].HostName())
			}
			at, err := b.address()
			if err != nil {
				return err
			}
			docker := exec.Command("docker", dockerExec(found[0], args[1:], isTerminal(os.Stdin))...)
			docker.Stdin, docker.Stdout, docker.Stderr = os.Stdin, os.Stdout, os.Stderr
			docker.Env = append(os.Environ(), at.Env()...)
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
	command.Flags().SetInterspersed(false) // flags after the host belong to the command
	return command
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

// exitCode is the exit code of a command that was run for a person.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("the command ended with code %d", int(e)) }
