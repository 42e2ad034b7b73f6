package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/plan"
)

func planCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:   "plan",
		Short: "Show what up would do, and why",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.target().show(cmd) },
	}
	planFlags(command, o)
	return command
}

func (b onBox) show(cmd *cobra.Command) error {
	j, err := b.job(cmd.Context())
	if err != nil {
		return err
	}
	j.sayUndoes(cmd)
	p, err := j.plan(cmd.Context())
	if err != nil {
		return err
	}
	showPlan(cmd, p)
	return nil
}

func (c onCluster) show(cmd *cobra.Command) error {
	j, err := c.job(cmd.Context())
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

func planFlags(command *cobra.Command, o *options) {
	command.Flags().BoolVar(&o.planOptions.Force, "force", false, "recreate containers even while somebody uses them")
	command.Flags().BoolVar(&o.planOptions.Fresh, "fresh", false, "recreate containers without the files that were written outside volumes")
	command.Flags().BoolVar(&o.planOptions.Upgrade, "upgrade", false, "recreate hosts for which there is a newer host image")
	command.Flags().StringArrayVar(&o.ignored, "ignore", nil, "`container` that sees GPUs but holds none, such as a monitor; repeatable")
}

func showPlan(cmd *cobra.Command, p plan.Plan) {
	fmt.Fprint(cmd.OutOrStdout(), p)
	if len(p.Steps)+len(p.Kept) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing to do")
	}
}

// confirm asks before a container is removed, since what was written in it, outside
// of its volumes, is removed with it. Its error says that the answer was no, or that
// there is nobody to ask.
func confirm(cmd *cobra.Command, p plan.Plan, yes bool) error {
	loss := p.Loss()
	if loss == "" {
		return nil
	}
	return ask(cmd, loss, yes)
}

// ask asks whether to do what is described.
func ask(cmd *cobra.Command, what string, yes bool) error {
	if yes {
		return nil
	}
	if !isTerminal(os.Stdin) {
		return fmt.Errorf("this %s; there is no terminal to ask at: say --yes", what)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "This %s. Go on? [y/N] ", what)
	answered := make(chan string, 1)
	go func() {
		var answer string
		fmt.Fscanln(os.Stdin, &answer) // no answer means no
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
