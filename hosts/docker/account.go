package docker

import (
	"context"
	"fmt"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/labels"

	"github.com/moby/moby/api/types/container"
)

// perPerson reports whether an account of a grant is created in the container at its
// first login.
func perPerson(in container.InspectResponse) bool {
	return in.Config != nil && in.Config.Labels[labels.Accounts] == labels.PerPerson
}

// makeAccount makes the image's own program create an account, as root, unless it
// exists. It is called only for accounts that a grant names.
func (s *Source) makeAccount(ctx context.Context, in container.InspectResponse, account string) error {
	command := docker.Command{User: "root", Args: []string{labels.MakeAccount, account}}
	if err := docker.Run(ctx, s.engine.Client, in.ID, command); err != nil {
		return fmt.Errorf("its account cannot be made: %w", err)
	}
	return nil
}
