package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/cluster"
	"github.com/berth-ssh/berth/provision/progress"
)

func planOnCluster(cmd *cobra.Command, o options) error {
	j, err := newClusterJob(cmd.Context(), o)
	if err != nil {
		return err
	}
	p, err := j.plan(cmd.Context())
	if err != nil {
		return err
	}
	showPlan(cmd, p.Plan)
	return nil
}

// upOnCluster carries a plan out, and waits for the hosts. What was asked about is done,
// and nothing else: where something changed meanwhile, nothing is done.
func upOnCluster(cmd *cobra.Command, o options) error {
	ctx := cmd.Context()
	j, err := newClusterJob(ctx, o)
	if err != nil {
		return err
	}
	p, err := j.plan(ctx)
	if err != nil {
		return err
	}
	showPlan(cmd, p.Plan)
	if p.Loss() != "" {
		if err := confirm(cmd, p.Plan, o.yes); err != nil {
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
	var names, kept []string
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
	for _, k := range p.Kept {
		kept = append(kept, k.String())
	}
	if len(kept) > 0 {
		err = errors.Join(err, fmt.Errorf("not everything is as the files have it: %s", strings.Join(kept, "; ")))
	}
	return err
}

func showPods(cmd *cobra.Command, j *clusterJob) error {
	have, err := j.in.Observe(cmd.Context(), j.want.Project)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), "\n", podTable(have, have.Of(j.want.Project)))
	return nil
}
