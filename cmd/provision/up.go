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

	"berth/hosts"
	"berth/state"
)

func planCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "plan",
		Short: "say what up would do, and why",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, _, p, err := prepare(cmd.Context(), *o)
			if err != nil {
				return err
			}
			showPlan(cmd, p)
			return nil
		},
	}
}

func upCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "make the hosts of the compose files, and start them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return up(cmd, *o) },
	}
}

func up(cmd *cobra.Command, o options) error {
	ctx := cmd.Context()
	api, want, p, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	showPlan(cmd, p)
	if err := confirm(cmd, p, o.yes); err != nil {
		return err
	}
	e := &engine{api, newProgress(os.Stderr)}
	if err := e.apply(ctx, p); err != nil {
		return err
	}
	if err := e.waitReady(ctx, want.services); err != nil {
		return err
	}
	have, err := observeContainers(ctx, api, nil)
	if err != nil {
		return err
	}
	have = slices.DeleteFunc(have, func(c existing) bool { return !slices.Contains(want.containerNames(), c.name) })
	fmt.Fprint(cmd.OutOrStdout(), "\n", hostTable(have))
	return nil
}

// prepare reads what ought to be, looks at what is, and plans.
func prepare(ctx context.Context, o options) (*client.Client, desired, plan, error) {
	project, err := loadProject(ctx, o)
	if err != nil {
		return nil, desired{}, plan{}, err
	}
	api, err := dial(ctx)
	if err != nil {
		return nil, desired{}, plan{}, err
	}
	box, err := openBox(o, isLocal(api))
	if err != nil {
		return nil, desired{}, plan{}, err
	}
	want, err := project.want(box)
	if err != nil {
		return nil, desired{}, plan{}, err
	}
	have, err := observe(ctx, api, want.imageRefs(), want.containerNames())
	if err != nil {
		return nil, desired{}, plan{}, err
	}
	p, err := planUp(want, have)
	return api, want, p, err
}

// openBox makes the state directory if need be: containers are made with the
// user CA in them.
func openBox(o options, local bool) (box, error) {
	st, err := state.Open(o.state)
	if err != nil {
		return box{}, err
	}
	b := box{base: o.base, userCA: st.UserCAPublic()}
	if !local {
		return b, nil // that machine has no helper directory of ours to mount
	}
	if b.helperDir, err = filepath.Abs(filepath.Join(st.Dir(), hosts.HelperDir)); err != nil {
		return box{}, err
	}
	return b, os.MkdirAll(b.helperDir, 0o755)
}

func showPlan(cmd *cobra.Command, p plan) {
	fmt.Fprint(cmd.OutOrStdout(), p)
	if len(p.steps) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to do")
	}
}

// confirm asks before a container goes: what was installed or written in it,
// outside its volumes, goes with it.
func confirm(cmd *cobra.Command, p plan, yes bool) error {
	if yes || len(p.lost) == 0 {
		return nil
	}
	lost := strings.Join(p.lost, ", ")
	if !isTerminal(os.Stdin) {
		return fmt.Errorf("this removes what was written in %s outside its volumes, and there is no terminal to ask at: say --yes", lost)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "This removes what was written in %s outside its volumes. Go on? [y/N] ", lost)
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
