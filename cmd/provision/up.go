package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/progress"
)

func upCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:   "up",
		Short: "Create and start the hosts of the compose files, or change them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.target().up(cmd) },
	}
	planFlags(command, o)
	return command
}

// up first builds and pulls, which takes nothing from anybody. Only then is it known
// which hosts get another image, and what must be asked. Resources are assigned under
// the lock, after a second observation: another provision may have been faster.
func (b onBox) up(cmd *cobra.Command) error {
	ctx := cmd.Context()
	j, err := b.job(ctx)
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
	e := &apply.Executor{API: j.api, Progress: progress.New(os.Stderr), Box: j.seen, Ignored: b.ignored, Marks: j.marks}
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
	if err := confirm(cmd, p, b.yes); err != nil {
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
	return p.Unfinished()
}

// up carries a plan out, and waits for the hosts. It does exactly what was asked
// about: if something has changed meanwhile, it does nothing.
func (c onCluster) up(cmd *cobra.Command) error {
	ctx := cmd.Context()
	j, err := c.job(ctx)
	if err != nil {
		return err
	}
	p, err := j.plan(ctx)
	if err != nil {
		return err
	}
	showPlan(cmd, p.Plan)
	if p.Loss() != "" {
		if err := confirm(cmd, p.Plan, c.yes); err != nil {
			return err
		}
		now, err := j.plan(ctx)
		if err != nil {
			return err
		}
		if !now.SameAs(p.Plan) {
			return errors.New("something changed since the plan was made; nothing was done: run up again")
		}
		p = now
	}
	e := &cluster.Executor{Namespace: j.in, Progress: progress.New(os.Stderr)}
	if err := e.Apply(ctx, p); err != nil {
		return err
	}
	var names []string
	for _, h := range j.want.Hosts {
		names = append(names, h.Set.Name)
	}
	err = e.WaitReady(ctx, names)
	if ctx.Err() != nil {
		return err
	}
	if shown := showPods(cmd, j); shown != nil {
		return errors.Join(err, shown)
	}
	return errors.Join(err, p.Unfinished())
}

func showPods(cmd *cobra.Command, j *clusterJob) error {
	have, err := j.in.Observe(cmd.Context(), j.want.Project)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), "\n", podTable(have, have.Of(j.want.Project)))
	return nil
}
