package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/doctor"
)

func doctorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Show what is wrong with the engine, the GPUs and the containers, and how to correct it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd, onBox{*o}) },
	}
}

func runDoctor(cmd *cobra.Command, b onBox) error {
	c, err := examine(cmd.Context(), b)
	if err != nil {
		return err
	}
	project, err := compose.Load(cmd.Context(), b.load)
	if err != nil && !errors.Is(err, compose.ErrNoFile) {
		return err
	}
	problems := c.Problems()
	if project != nil {
		problems = append(problems, doctor.Secrets(project)...)
	}
	for _, p := range problems {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n  %s\n", p.What, p.Cure)
	}
	switch len(problems) {
	case 0:
	case 1:
		return errors.New("1 problem")
	default:
		return fmt.Errorf("%d problems", len(problems))
	}
	fmt.Fprintln(cmd.OutOrStdout(), "nothing is wrong")
	return nil
}

// examine examines the engine, its box and the containers. If the engine of this box
// does not answer, that is a problem of the checkup; for an engine elsewhere it is an
// error.
func examine(ctx context.Context, b onBox) (*doctor.Checkup, error) {
	api, err := b.dial(ctx)
	switch {
	case err != nil && b.engineIsHere():
		return doctor.WithoutEngine(ctx, err), nil
	case err != nil:
		return nil, err
	}
	return doctor.Examine(ctx, api)
}

// warnOfBox prints the warnings that up gives before it acts.
func warnOfBox(ctx context.Context, api *client.Client) error {
	c, err := doctor.ExamineBox(ctx, api)
	if err != nil {
		return err
	}
	for _, p := range c.Problems() {
		fmt.Fprintf(os.Stderr, "doctor: %s: %s\n", p.What, p.Cure)
	}
	return nil
}
