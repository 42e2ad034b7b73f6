package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func downCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "remove the project's containers and networks; volumes stay",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return down(cmd, *o) },
	}
}

func down(cmd *cobra.Command, o options) error {
	ctx := cmd.Context()
	name, err := projectName(ctx, o)
	if err != nil {
		return err
	}
	if name == "" {
		return fmt.Errorf("%w, or a project with -p", errNoFile)
	}
	api, err := dial(ctx)
	if err != nil {
		return err
	}
	have, err := observe(ctx, api, nil)
	if err != nil {
		return err
	}
	p := planDown(name, have)
	showPlan(cmd, p)
	if err := confirm(cmd, p, o.yes); err != nil {
		return err
	}
	e := &engine{api: api, progress: newProgress(os.Stderr)}
	return e.apply(ctx, p)
}
