package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/owners"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/state"
)

// boxJob is one run on a box: what the files want, and on which engine.
type boxJob struct {
	onBox
	api    *client.Client
	want   compose.Wanted
	undoes string // the file that import made of this one; "" where it made none
	books  *state.State
	seen   box.Box // the box as it was last observed
	marks  plan.Marks
}

func (b onBox) job(ctx context.Context) (*boxJob, error) {
	project, err := compose.Load(ctx, b.load)
	if err != nil {
		return nil, err
	}
	api, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	st, err := state.Open(b.state)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; name one of your own with --state DIR, or be root", err)
	}
	if err != nil {
		return nil, err
	}
	at, err := b.site(st, api)
	if err != nil {
		return nil, err
	}
	want, err := compose.Await(ctx, func() (compose.Wanted, error) { return project.Want(at) })
	return &boxJob{onBox: b, api: api, want: want, undoes: project.ReplacedBy(), books: st}, err
}

// marksOf returns the marks by which provision recognises its own containers. The
// first run with a state directory records those that an older version created.
func marksOf(st *state.State, have plan.Observed) (plan.Marks, error) {
	secret, err := st.Secret()
	if err != nil {
		return plan.Marks{}, err
	}
	unmarked, err := st.Unmarked(func() []string { return plan.Unmarked(have.Containers, have.Box) })
	return plan.Marks{Secret: secret, Unmarked: unmarked, UserCAs: st.UserCA().Made()}, err
}

func (j *boxJob) plan(ctx context.Context) (plan.Plan, error) {
	have, err := apply.Observe(ctx, j.api, j.want.ImageRefs(), j.want.Project)
	if err != nil {
		return plan.Plan{}, err
	}
	have.Ignored = j.ignored
	if have.Marks, err = marksOf(j.books, have); err != nil {
		return plan.Plan{}, err
	}
	have.Containers = have.Marks.Judge(have.Containers)
	j.seen, j.marks = have.Box, have.Marks
	p, err := compose.Await(ctx, func() (plan.Plan, error) { return plan.Up(j.want, have, j.planOptions) })
	if err != nil {
		return p, err
	}
	return p, apply.Weigh(ctx, j.api, &p)
}

// carryOut makes the plan again, under the lock, and carries it out. If that differs
// from the plan that was shown, it is shown again. If it would lose something that
// nobody was asked about, nothing is done, and the error says so.
func (j *boxJob) carryOut(cmd *cobra.Command, e *apply.Executor, shown plan.Plan) error {
	ctx := cmd.Context()
	unlock, err := apply.Lock(ctx, j.state)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := j.plan(ctx)
	if err != nil {
		return err
	}
	if unasked := p.Unasked(shown); len(unasked) > 0 {
		return fmt.Errorf("%s changed since the plan was made; nothing more was done: run up again", unasked[0])
	}
	if !p.SameAs(shown.WithoutImages()) {
		fmt.Fprintln(cmd.OutOrStdout(), "meanwhile something changed; this is done:")
		showPlan(cmd, p)
	}
	if p.Switches() {
		release, err := startGuard(j.onBox, j.want.Project)
		if err != nil {
			return err
		}
		defer release()
	}
	return e.Apply(ctx, p)
}

// sayUndoes says, before any plan, that it would undo an import, if that is so.
func (j *boxJob) sayUndoes(cmd *cobra.Command) {
	if j.undoes != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "import made %s of this file, and this plan would undo that; -f %s names the new one\n", j.undoes, j.undoes)
	}
}

// giveNames makes this project the owner of its host names, which the gateway stores,
// and says so if only an exact name is free. The plan has made sure that no other
// container of the box has them.
func (j *boxJob) giveNames(cmd *cobra.Command) error {
	box := cmp.Or(j.box, hosts.LocalBox)
	for _, s := range j.want.Services {
		owner := labels.Owner(map[string]string{labels.Project: j.want.Project, labels.Service: s.Name}, s.Container)
		others, err := owners.Give(j.books, box, s.Host, owner)
		if others != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "host %[1]s is entered as %[1]s.%[2]s: its plain name is that of %[3]s\n", s.Host, box, others)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *boxJob) showHosts(cmd *cobra.Command) error {
	have, err := apply.ObserveContainers(cmd.Context(), j.api, box.Box{})
	if err != nil {
		return err
	}
	have = slices.DeleteFunc(have, func(c plan.Container) bool { return !slices.Contains(j.want.ContainerNames(), c.Name) })
	fmt.Fprint(cmd.OutOrStdout(), "\n", hostTable(have))
	return nil
}

// site returns what the box adds to the files.
func (b onBox) site(st *state.State, api *client.Client) (compose.Site, error) {
	var err error
	at := compose.Site{Base: b.load.Base, UserCA: st.UserCA().Trusted()[0], Today: time.Now()}
	if b.isElsewhere() {
		at.Box = b.box
	}
	if !docker.IsLocal(api) {
		return at, nil // that box has none of our helper directories to mount
	}
	if at.StateDir, err = filepath.Abs(st.Dir()); err != nil {
		return compose.Site{}, err
	}
	at.HelperDir = filepath.Join(at.StateDir, labels.HelperDir)
	at.Socket = strings.TrimPrefix(api.DaemonHost(), "unix://")
	return at, os.MkdirAll(at.HelperDir, 0o755)
}
