package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"berth/box"
	"berth/docker"
	"berth/labels"
	"berth/provision/apply"
	"berth/provision/compose"
	"berth/provision/plan"
	"berth/state"
)

func planCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:   "plan",
		Short: "Say what up would do, and why",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, err := newJob(cmd.Context(), *o)
			if err != nil {
				return err
			}
			p, err := j.plan(cmd.Context())
			if err != nil {
				return err
			}
			showPlan(cmd, p)
			return nil
		},
	}
	planFlags(command, o)
	return command
}

func upCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:   "up",
		Short: "Make the hosts of the compose files, and start them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return up(cmd, *o) },
	}
	planFlags(command, o)
	return command
}

func planFlags(command *cobra.Command, o *options) {
	command.Flags().BoolVar(&o.force, "force", false, "recreate containers also while somebody is on them")
	command.Flags().StringArrayVar(&o.ignored, "ignore", nil, "container that may see GPUs, but holds none (a monitor, say)")
}

// up builds and pulls first, as long as it takes. What is handed out is decided
// under the lock, on a second look: another provision may have been faster.
func up(cmd *cobra.Command, o options) error {
	ctx := cmd.Context()
	j, err := newJob(ctx, o)
	if err != nil {
		return err
	}
	if err := warnOfBox(ctx, j.api); err != nil {
		return err
	}
	p, err := j.plan(ctx)
	if err != nil {
		return err
	}
	showPlan(cmd, p)
	if err := confirm(cmd, p, o.yes); err != nil {
		return err
	}
	e := &apply.Executor{API: j.api, Progress: apply.NewProgress(os.Stderr), Box: j.box, Ignored: o.ignored}
	if err := e.Apply(ctx, p.Images()); err != nil {
		return err
	}
	if err := j.carryOut(cmd, e, p); err != nil {
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

// job is one run: what ought to be, on which engine.
type job struct {
	options options
	api     *client.Client
	want    compose.Wanted
	box     box.Box // as it was last seen
}

func newJob(ctx context.Context, o options) (*job, error) {
	project, err := compose.Load(ctx, o.load)
	if err != nil {
		return nil, err
	}
	api, err := docker.Dial(ctx, "")
	if err != nil {
		return nil, err
	}
	at, err := openSite(o, docker.IsLocal(api))
	if err != nil {
		return nil, err
	}
	want, err := project.Want(at)
	return &job{options: o, api: api, want: want}, err
}

func (j *job) plan(ctx context.Context) (plan.Plan, error) {
	have, err := apply.Observe(ctx, j.api, j.want.ImageRefs(), j.want.Project)
	if err != nil {
		return plan.Plan{}, err
	}
	have.Ignored = j.options.ignored
	j.box = have.Box
	return plan.Up(j.want, have, j.options.force)
}

// carryOut plans once more, now that nobody else hands out anything, and does
// it. Nothing is lost that was not asked for.
func (j *job) carryOut(cmd *cobra.Command, e *apply.Executor, shown plan.Plan) error {
	ctx := cmd.Context()
	unlock, err := apply.Lock(ctx, j.options.state)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := j.plan(ctx)
	if err != nil {
		return err
	}
	for _, host := range p.Lost {
		if !slices.Contains(shown.Lost, host) {
			return fmt.Errorf("%s changed since the plan was made; nothing more was done: run up again", host)
		}
	}
	if !p.SameAs(shown.WithoutImages()) {
		fmt.Fprintln(cmd.OutOrStdout(), "meanwhile something changed; this is done:")
		showPlan(cmd, p)
	}
	return e.Apply(ctx, p)
}

func (j *job) showHosts(cmd *cobra.Command) error {
	have, err := apply.ObserveContainers(cmd.Context(), j.api, box.Box{})
	if err != nil {
		return err
	}
	have = slices.DeleteFunc(have, func(c plan.Container) bool { return !slices.Contains(j.want.ContainerNames(), c.Name) })
	fmt.Fprint(cmd.OutOrStdout(), "\n", hostTable(have))
	return nil
}

// openSite makes the state directory if need be: containers are made with the
// user CA in them.
func openSite(o options, local bool) (compose.Site, error) {
	st, err := state.Open(o.state)
	if err != nil {
		return compose.Site{}, err
	}
	b := compose.Site{Base: o.load.Base, UserCA: st.UserCAPublic()}
	if !local {
		return b, nil // that box has no helper directory of ours to mount
	}
	if b.HelperDir, err = filepath.Abs(filepath.Join(st.Dir(), labels.HelperDir)); err != nil {
		return compose.Site{}, err
	}
	return b, os.MkdirAll(b.HelperDir, 0o755)
}

func showPlan(cmd *cobra.Command, p plan.Plan) {
	fmt.Fprint(cmd.OutOrStdout(), p)
	if len(p.Steps)+len(p.Kept) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to do")
	}
}

// confirm asks before a container goes: what was installed or written in it,
// outside its volumes, goes with it.
func confirm(cmd *cobra.Command, p plan.Plan, yes bool) error {
	loss := p.Loss()
	if yes || loss == "" {
		return nil
	}
	if !isTerminal(os.Stdin) {
		return fmt.Errorf("this removes %s; there is no terminal to ask at: say --yes", loss)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "This removes %s. Go on? [y/N] ", loss)
	answered := make(chan string, 1)
	go func() {
		var answer string
		fmt.Fscanln(os.Stdin, &answer) // no answer is a no
		answered <- answer
	}()
	select {
	case <-cmd.Context().Done():
		return cmd.Context().Err()
	case answer := <-answered:
		if strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes") {
			return nil
		}
		return errNothingDone
	}
}
