package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/serving"
	"github.com/berth-ssh/berth/state"
)

// defaultRotation is how long clients have to learn of a host key before it is shown.
const defaultRotation = 30 * 24 * time.Hour

func newRotateCommand() *cobra.Command {
	path := config.DefaultPath
	var r rotation
	command := &cobra.Command{
		Use:   "rotate host-key",
		Short: "Replace the gateway's host key, unnoticed by its clients",
		Long: "Replace the gateway's host key. A new key is made beside it. The gateway goes on to\n" +
			"show the old one, tells its clients of both, and proves that it has them; ssh\n" +
			"notes the new one by itself (UpdateHostKeys). After the time of --after, or with\n" +
			"--finish, the new key is shown and the old one forgotten. Who has not logged in\n" +
			"meanwhile, or has a client that does not learn, is warned by it then: publish the\n" +
			"lines of keys --known-hosts. The gateway need not be restarted.",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"host-key"},
		RunE: func(command *cobra.Command, args []string) error {
			if r.after <= 0 {
				return errors.New("--after: a time such as 720h; to be done at once: --finish")
			}
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			st, err := openMade(settings.State)
			if err != nil {
				return err
			}
			if err := r.carryOut(st); err != nil {
				return err
			}
			if err := tellGateways(command.Context(), settings.State); err != nil {
				return err
			}
			return sayRotated(command.OutOrStdout(), st)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().DurationVar(&r.after, "after", defaultRotation, "how `long` clients have to learn of the new key")
	command.Flags().BoolVar(&r.finish, "finish", false, "show the new key now, and forget the old one")
	command.Flags().BoolVar(&r.cancel, "cancel", false, "forget the new key")
	command.MarkFlagsMutuallyExclusive("after", "finish", "cancel")
	return command
}

// rotation is what is asked for of one.
type rotation struct {
	after          time.Duration
	finish, cancel bool
}

func (r rotation) carryOut(st *state.State) error {
	keys, err := st.ReadHostKeys()
	if err != nil {
		return err
	}
	if (r.finish || r.cancel) && len(keys.Next) == 0 {
		return errors.New("there is no next host key; without --finish and --cancel it is made")
	}
	switch {
	case r.finish:
		return st.FinishHostKeys()
	case r.cancel:
		return st.CancelHostKeys()
	}
	return st.RotateHostKeys(time.Now().Add(r.after))
}

// tellGateways has the gateways that run read their keys again.
func tellGateways(ctx context.Context, stateDir string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := control.CallAll[struct{}](ctx, stateDir, serving.VerbKeys, nil)
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		return fmt.Errorf("the keys are written, but the gateway does not know it; restart it: %w", err)
	}
	return nil
}

func sayRotated(out io.Writer, st *state.State) error {
	if _, err := st.ReadHostKeys(); err != nil {
		return err
	}
	return showKeys(out, st)
}
