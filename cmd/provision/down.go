package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func downCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "down [HOST…]",
		Short:             "Remove the project's containers and networks, or only hosts; volumes stay",
		ValidArgsFunction: completeHosts(o),
		RunE:              func(cmd *cobra.Command, names []string) error { return down(cmd, *o, names) },
	}
}

func down(cmd *cobra.Command, o options, names []string) error {
	ctx := cmd.Context()
	if len(names) > 0 {
		return downHosts(cmd, o, names)
	}
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

// downHosts removes hosts alone: their networks are others' too.
func downHosts(cmd *cobra.Command, o options, names []string) error {
	api, found, err := findHosts(cmd.Context(), o, names)
	if err != nil {
		return err
	}
	var p plan
	for _, c := range found {
		p.remove(c, "down")
	}
	showPlan(cmd, p)
	if err := confirm(cmd, p, o.yes); err != nil {
		return err
	}
	e := &engine{api: api, progress: newProgress(os.Stderr)}
	return e.apply(cmd.Context(), p)
}
