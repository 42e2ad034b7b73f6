package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/moby/moby/client"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/apply"
	"github.com/berth-ssh/berth/provision/plan"
)

// confirmUse says who is on the containers, and asks before they lose what they do. It
// returns the containers with their users. Its error says that the answer was no, or
// that there is nobody to ask.
func confirmUse(cmd *cobra.Command, api *client.Client, containers []plan.Container, verb plan.Op, yes bool) ([]plan.Container, error) {
	b, err := apply.ObserveBox(cmd.Context(), api)
	if err != nil {
		return nil, err
	}
	var used []plan.Container
	var lines []string
	for _, c := range containers {
		if !c.Running {
			continue
		}
		if c.Users, err = apply.UsersOf(cmd.Context(), api, c, b); err != nil {
			return nil, err
		}
		if len(c.Users) > 0 {
			used = append(used, c)
			lines = append(lines, fmt.Sprintf("%s: %s", c.HostName(), strings.Join(c.Users, ", ")))
		}
	}
	if len(used) == 0 {
		return nil, nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "in use:\n  %s\n", strings.Join(lines, "\n  "))
	return used, ask(cmd, fmt.Sprintf("%ss hosts that people are on", verb), yes)
}

// tell writes on the terminals of those who are on these containers.
func tell(ctx context.Context, e *apply.Executor, used []plan.Container, done string) {
	for _, c := range used {
		e.Tell(ctx, c.ID, c.HostName()+" is "+done+" now, by provision")
	}
}
