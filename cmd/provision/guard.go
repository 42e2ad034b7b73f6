package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

const (
	guardTimeout = 5 * time.Minute // for an engine that restarts
	guardRetry   = time.Second
)

// startGuard starts a process that outlives this one, should it be killed: it then
// ends the recreations that are half done, so that every host runs. release ends it.
func startGuard(o options, project string) (release func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	alive, mine, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer alive.Close()
	guard := exec.Command(self, "guard", "-p", project, "--state", o.state, "--box", o.box, "--config", o.config)
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
			return recoverProject(ctx, *o)
		},
	}
}

// recoverProject tries until nothing is half done.
func recoverProject(ctx context.Context, o options) error {
	unlock, err := apply.Lock(ctx, o.state)
	if err != nil {
		return err
	}
	defer unlock()
	for {
		done, err := recoverOnce(ctx, o)
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(guardRetry):
		}
	}
}

func recoverOnce(ctx context.Context, o options) (done bool, err error) {
	engine, err := o.engine(ctx)
	if err != nil {
		return false, err
	}
	defer engine.Close()
	api := engine.Client
	all, err := apply.ObserveContainers(ctx, api, box.Box{})
	if err != nil {
		return false, err
	}
	p := plan.Recover(o.load.Project, plan.Observed{Containers: all})
	e := &apply.Executor{API: api, Progress: progress.New(os.Stderr), Patient: true}
	return len(p.Steps) == 0, e.Apply(ctx, p)
}
