package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

func buildCommand(o *options) *cobra.Command {
	command := &cobra.Command{
		Use:   "build",
		Short: "Build and pull the images of the compose files; create no container",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			j, err := onBox{*o}.job(ctx)
			if err != nil {
				return err
			}
			images, err := apply.ObserveImages(ctx, j.api, j.want.ImageRefs())
			if err != nil {
				return err
			}
			p := plan.Images(j.want, images)
			showPlan(cmd, p)
			e := &apply.Executor{API: j.api, Progress: progress.New(os.Stderr)}
			return e.Apply(ctx, p)
		},
	}
	return command
}
