package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/progress"
)

func upCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:   "up",
		Short: "Create and start the hosts of the compose files, or change them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return up(cmd, *o) },
	}
	planFlags(command, o)
	return command
}

// up builds and pulls first, as long as it takes: that costs nobody anything, and only
// then it is known whether a host has another image, and what is to be asked. What is handed out is decided
// under the lock, on a second look: another provision may have been faster.
func up(cmd *cobra.Command, o options) error {
	if o.onCluster() {
		return upOnCluster(cmd, o)
	}
	ctx := cmd.Context()
	j, err := newJob(ctx, o)
	if err != nil {
		return err
	}
	j.sayUndoes(cmd)
	if err := warnOfBox(ctx, j.api); err != nil {
		return err
	}
	p, err := j.plan(ctx)
	if err != nil {
		return err
	}
	showPlan(cmd, p)
	e := &apply.Executor{API: j.api, Progress: progress.New(os.Stderr), Box: j.box, Ignored: o.ignored, Marks: j.marks}
	if err := e.Apply(ctx, p.Images()); err != nil {
		return err
	}
	if len(p.Images().Steps) > 0 && p.Loss() != "" { // a host on the same image loses nothing
		before := p.WithoutImages()
		if p, err = j.plan(ctx); err != nil {
			return err
		}
		if !p.SameAs(before) {
			fmt.Fprintln(cmd.OutOrStdout(), "the images are there; what is left to do:")
			showPlan(cmd, p)
		}
	}
	if err := confirm(cmd, p, o.yes); err != nil {
		return err
	}
	if err := j.carryOut(cmd, e, p); err != nil {
		return err
	}
	if err := j.giveNames(cmd); err != nil {
		return err
	}
	if err := e.WaitReady(ctx, j.want.Services); err != nil {
		return err
	}
	if err := j.showHosts(cmd); err != nil {
		return err
	}
	if len(p.Kept) > 0 {
		var texts []string
		for _, k := range p.Kept {
			texts = append(texts, k.String())
		}
		return fmt.Errorf("not everything is as the files have it: %s", strings.Join(texts, "; "))
	}
	return nil
}
