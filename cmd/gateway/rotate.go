package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/rotation"
	"github.com/berth-ssh/berth/state"
)

// defaultRotation is how long clients have time to learn a host key before it is
// shown.
const defaultRotation = 30 * 24 * time.Hour

// What can be rotated.
const (
	rotateHostKey = "host-key"
	rotateUserCA  = "user-ca"
)

func newRotateCommand() *cobra.Command {
	path := config.DefaultPath
	var r rotate
	command := &cobra.Command{
		Use:   "rotate host-key|user-ca",
		Short: "Replace the gateway's host key, or its user CA",
		Long: "Replace the gateway's host key or its user CA, so that nobody notices. A new one is\n" +
			"made beside the old one; with --finish it takes the place of the old one, which is\n" +
			"forgotten. The gateway need not be restarted.\n" +
			"\n" +
			"host-key: the gateway goes on to show the old one, tells its clients of both, and\n" +
			"proves that it has them; ssh notes the new one by itself (UpdateHostKeys). The new\n" +
			"one is shown after the time of --after. Clients of people who have not logged in\n" +
			"meanwhile, and clients that do not learn keys, warn then: give people the lines of\n" +
			"berth-gateway keys --known-hosts.\n" +
			"\n" +
			"user-ca: the gateway tells all hosts of Berth's image to trust both, and with\n" +
			"--finish the new one alone. No host is recreated or restarted. An sshd that\n" +
			"somebody else has set up must be told by that person: its TrustedUserCAKeys.",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{rotateHostKey, rotateUserCA},
		RunE: func(command *cobra.Command, args []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			st, err := openMade(settings)
			if err != nil {
				return err
			}
			if args[0] == rotateUserCA {
				return r.userCA(command, st)
			}
			return r.hostKey(command, st)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().DurationVar(&r.after, "after", defaultRotation, "host-key: how `long` clients have to learn of the new one")
	command.Flags().BoolVar(&r.finish, "finish", false, "use the new one now, and forget the old one")
	command.Flags().BoolVar(&r.cancel, "cancel", false, "forget the new one")
	command.MarkFlagsMutuallyExclusive("after", "finish", "cancel")
	return command
}

// rotate has the wishes of the caller.
type rotate struct {
	after          time.Duration
	finish, cancel bool
}

func (r rotate) hostKey(command *cobra.Command, st *state.State) error {
	keys, err := st.HostKeys(false)
	switch ctx := command.Context(); {
	case err != nil:
		return err
	case r.after <= 0:
		return errors.New("--after: a time such as 720h; to be done at once: --finish")
	case len(keys.Next) == 0 && (r.finish || r.cancel):
		return errors.New("there is no next host key; without --finish and --cancel it is made")
	case r.finish:
		err = rotation.Of(st).FinishHostKeys(ctx)
	case r.cancel:
		err = rotation.Of(st).CancelHostKeys(ctx)
	default:
		err = rotation.Of(st).BeginHostKeys(ctx, time.Now().Add(r.after))
	}
	if err != nil {
		return err
	}
	return showKeysNow(command.OutOrStdout(), st)
}

func (r rotate) userCA(command *cobra.Command, st *state.State) (err error) {
	out, hasNext := command.OutOrStdout(), st.UserCA().Next != nil
	var told rotation.Told
	switch ctx := command.Context(); {
	case command.Flags().Changed("after"):
		return errors.New("--after: hosts need no time to learn of a user CA")
	case !hasNext && (r.finish || r.cancel):
		return errors.New("there is no next user CA; without --finish and --cancel it is made")
	case r.finish:
		told, err = rotation.Of(st).FinishUserCA(ctx)
	case r.cancel:
		err = rotation.Of(st).CancelUserCA(ctx)
	default:
		told, err = rotation.Of(st).BeginUserCA(ctx)
	}
	sayTold(out, told)
	if err != nil {
		return err
	}
	if err := showKeysNow(out, st); err != nil || r.finish || r.cancel {
		return err
	}
	fmt.Fprintf(out, "the next user CA: %s\nthen: berth-gateway keys rotate user-ca --finish\n", st.UserCA().Trusted()[1])
	return nil
}

// sayTold prints which hosts trust the user CAs.
func sayTold(out io.Writer, told rotation.Told) {
	say := func(what string, names []string) {
		if len(names) > 0 {
			slices.Sort(names)
			fmt.Fprintf(out, "%s: %s\n", what, strings.Join(names, ", "))
		}
	}
	if told.NoGateway {
		fmt.Fprintln(out, "no gateway runs: hosts are told when it does")
	}
	say("trust both", told.Trusting)
	say("do not run, and are told when they do", told.Later)
	say("add the next user CA to the TrustedUserCAKeys of", told.Foreign)
}

func showKeysNow(out io.Writer, st *state.State) error {
	if err := st.ReadKeys(); err != nil {
		return err
	}
	return showKeys(out, st)
}
