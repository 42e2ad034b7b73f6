package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/apply"
)

const guardTimeout = 5 * time.Minute // for an engine that restarts

// startGuard starts a process that outlives this one, should it be killed: it then
// ends the recreations that are half done, so that every host runs. release ends it.
func startGuard(b onBox, project string) (release func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	alive, mine, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer alive.Close()
	guard := exec.Command(self, "guard", "-p", project, "--state", b.state, "--box", b.box, "--config", b.config)
	guard.Stdin = alive
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt at the terminal is not for it
	if err := guard.Start(); err != nil {
		mine.Close()
		return nil, err
	}
	return func() {
		mine.WriteString("done")
		mine.Close()
		guard.Wait()
	}, nil
}

// guardCommand is the guard's side: it waits for the other one to be done, or to die.
func guardCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:    "guard",
		Short:  "Wait for up to end, and end what it leaves half done",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			said, err := io.ReadAll(os.Stdin)
			if err != nil || len(said) > 0 {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), guardTimeout)
			defer cancel()
			return apply.Recover(ctx, o.state, o.load.Project, onBox{*o}.engine)
		},
	}
}
