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
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/state"
)

// job is one run: what the files want, on which engine.
type job struct {
	options options
	api     *client.Client
	want    compose.Wanted
	undoes  string // the file that import made of this one; "" where it made none
	state   *state.State
	box     box.Box // as it was last seen
	marks   plan.Marks
}

func newJob(ctx context.Context, o options) (*job, error) {
	project, err := compose.Load(ctx, o.load)
	if err != nil {
		return nil, err
	}
	api, err := o.dial(ctx)
	if err != nil {
		return nil, err
	}
	st, err := state.Open(o.state)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; name one of your own with --state DIR, or be root", err)
	}
	if err != nil {
		return nil, err
	}
	at, err := siteOf(o, st, api)
	if err != nil {
		return nil, err
	}
	want, err := compose.Await(ctx, func() (compose.Wanted, error) { return project.Want(at) })
	return &job{options: o, api: api, want: want, undoes: project.ReplacedBy(), state: st}, err
}

// marksOf returns by what provision knows its own containers. On the first run with
// a state directory, those that an older version made are remembered.
func marksOf(st *state.State, have plan.Observed) (plan.Marks, error) {
	secret, err := st.Secret()
	if err != nil {
		return plan.Marks{}, err
	}
	unmarked, err := st.Unmarked(func() []string { return plan.Unmarked(have.Containers, have.Box) })
	return plan.Marks{Secret: secret, Unmarked: unmarked, UserCAs: st.UserCA().Made()}, err
}

func (j *job) plan(ctx context.Context) (plan.Plan, error) {
	have, err := apply.Observe(ctx, j.api, j.want.ImageRefs(), j.want.Project)
	if err != nil {
		return plan.Plan{}, err
	}
	have.Ignored = j.options.ignored
	if have.Marks, err = marksOf(j.state, have); err != nil {
		return plan.Plan{}, err
	}
	have.Containers = have.Marks.Judge(have.Containers)
	j.box, j.marks = have.Box, have.Marks
	p, err := compose.Await(ctx, func() (plan.Plan, error) { return plan.Up(j.want, have, j.options.plan) })
	if err != nil {
		return p, err
	}
	return p, apply.Weigh(ctx, j.api, &p)
}

// carryOut makes the plan once more, under the lock, and carries it out. Where it is
// not the one that was shown it is shown again; where it would lose what nobody was
// asked about, nothing is done and the error says so.
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
	for _, host := range slices.Concat(p.Lost, p.Recreated) {
		if !slices.Contains(slices.Concat(shown.Lost, shown.Recreated), host) {
			return fmt.Errorf("%s changed since the plan was made; nothing more was done: run up again", host)
		}
	}
	if !p.SameAs(shown.WithoutImages()) {
		fmt.Fprintln(cmd.OutOrStdout(), "meanwhile something changed; this is done:")
		showPlan(cmd, p)
	}
	if p.Switches() {
		release, err := startGuard(j.options, j.want.Project)
		if err != nil {
			return err
		}
		defer release()
	}
	return e.Apply(ctx, p)
}

// sayUndoes says, before any plan, if it would undo an import.
func (j *job) sayUndoes(cmd *cobra.Command) {
	if j.undoes != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "import made %s of this file, and this plan would undo that; -f %s names the new one\n", j.undoes, j.undoes)
	}
}

// giveNames makes the host names those of this project, which the gateway keeps with
// their owners. The plan has made sure that no other container of the box carries them.
func (j *job) giveNames(cmd *cobra.Command) error {
	for _, s := range j.want.Services {
		owner := labels.Owner(map[string]string{labels.Project: j.want.Project, labels.Service: s.Name}, s.Container)
		if err := j.giveName(cmd, s.Host, owner); err != nil {
			return err
		}
	}
	return nil
}

// giveName gives a name to its owner on the box, and says so where only the exact name is
// free, since the plain one is another box's.
func (j *job) giveName(cmd *cobra.Command, host, owner string) error {
	box := cmp.Or(j.options.box, hosts.LocalBox)
	exact, own := host+"."+box, labels.OwnerBox(box)
	of, err := j.state.Owner(host)
	if err == nil && j.options.isElsewhere() {
		of, err = j.state.ClaimHost(host, own)
	}
	if err != nil {
		return err
	}
	isOthers := of != own && (j.options.isElsewhere() || labels.IsBox(of))
	if isOthers {
		fmt.Fprintf(cmd.OutOrStdout(), "host %s is entered as %s: its plain name is that of %s\n", host, exact, of)
	}
	if isOthers || j.options.isElsewhere() {
		return j.state.GiveHost(exact, owner)
	}
	if strings.Contains(host, ".") { // which could read as name.box
		err = j.state.GiveHost(exact, owner)
	}
	return errors.Join(err, j.state.GiveHost(host, owner))
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

// siteOf returns what the box adds to the files.
func siteOf(o options, st *state.State, api *client.Client) (compose.Site, error) {
	var err error
	b := compose.Site{Base: o.load.Base, UserCA: st.UserCA().Trusted()[0], Today: time.Now()}
	if o.isElsewhere() {
		b.Box = o.box
	}
	if !docker.IsLocal(api) {
		return b, nil // that box has no helper directory of ours to mount
	}
	if b.StateDir, err = filepath.Abs(st.Dir()); err != nil {
		return compose.Site{}, err
	}
	b.HelperDir = filepath.Join(b.StateDir, labels.HelperDir)
	b.Socket = strings.TrimPrefix(api.DaemonHost(), "unix://")
	return b, os.MkdirAll(b.HelperDir, 0o755)
}
