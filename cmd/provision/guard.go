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

const guardTimeout = 5 * time.Minute // in case the engine restarts

// startGuard starts a process that survives this one if it is killed: it then
// completes the recreations that are half done, so that every host runs. release ends
// it.
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
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // so that an interrupt at the terminal does not reach it
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

// guardCommand returns the guard's own command: it waits until the other process has
// finished, or has died.
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
