package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/serving"
	"github.com/berth-ssh/berth/state"
)

// defaultRotation is how long clients have to learn of a host key before it is shown.
const defaultRotation = 30 * 24 * time.Hour

// tellTimeout is how long a gateway may take to tell all its hosts of a user CA.
const tellTimeout = 5 * time.Minute

// What is rotated.
const (
	rotateHostKey = "host-key"
	rotateUserCA  = "user-ca"
)

func newRotateCommand() *cobra.Command {
	path := config.DefaultPath
	var r rotation
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
			r.told = func() (serving.TrustReport, error) { return tellGateways(command.Context(), settings.State) }
			if args[0] == rotateUserCA {
				return r.userCA(command, st)
			}
			return r.hostKey(command.OutOrStdout(), st)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().DurationVar(&r.after, "after", defaultRotation, "host-key: how `long` clients have to learn of the new one")
	command.Flags().BoolVar(&r.finish, "finish", false, "use the new one now, and forget the old one")
	command.Flags().BoolVar(&r.cancel, "cancel", false, "forget the new one")
	command.MarkFlagsMutuallyExclusive("after", "finish", "cancel")
	return command
}

// rotation is what is asked for of one.
type rotation struct {
	after          time.Duration
	finish, cancel bool
	told           func() (serving.TrustReport, error) // has gateways that run take what there is now
}

func (r rotation) hostKey(out io.Writer, st *state.State) error {
	keys, err := st.HostKeys(false)
	switch {
	case err != nil:
		return err
	case r.after <= 0:
		return errors.New("--after: a time such as 720h; to be done at once: --finish")
	case len(keys.Next) == 0 && (r.finish || r.cancel):
		return errors.New("there is no next host key; without --finish and --cancel it is made")
	case r.finish:
		err = st.FinishHostKeys()
	case r.cancel:
		err = st.CancelHostKeys()
	default:
		err = st.RotateHostKeys(time.Now().Add(r.after))
	}
	if err != nil {
		return err
	}
	if _, err := r.told(); err != nil && !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	return showKeysNow(out, st)
}

// userCA takes one step. The new CA is not used before every host that runs trusts it,
// so that each can be entered whatever fails.
func (r rotation) userCA(command *cobra.Command, st *state.State) error {
	out, next := command.OutOrStdout(), st.UserCA().Next
	switch {
	case command.Flags().Changed("after"):
		return errors.New("--after: hosts need no time to learn of a user CA")
	case next == nil && (r.finish || r.cancel):
		return errors.New("there is no next user CA; without --finish and --cancel it is made")
	case r.cancel:
		return r.endUserCA(out, st, st.CancelUserCA)
	case r.finish:
		if err := r.tellOfBoth(out); err != nil {
			return err
		}
		return r.endUserCA(out, st, st.FinishUserCA)
	case next == nil:
		if err := st.RotateUserCA(); err != nil {
			return err
		}
	}
	if err := r.tellOfBoth(out); err != nil {
		return err
	}
	if err := showKeysNow(out, st); err != nil {
		return err
	}
	fmt.Fprintf(out, "the next user CA: %s\nthen: berth-gateway keys rotate user-ca --finish\n", st.UserCA().Trusted()[1])
	return nil
}

func (r rotation) tellOfBoth(out io.Writer) error {
	told, err := r.told()
	if errors.Is(err, control.ErrNotRunning) {
		fmt.Fprintln(out, "no gateway runs: hosts are told when it does")
		return nil
	}
	if err != nil {
		return err
	}
	return sayTold(out, told)
}

// endUserCA puts the new CA in the place of the old one, or removes it.
func (r rotation) endUserCA(out io.Writer, st *state.State, end func() error) error {
	if err := end(); err != nil {
		return err
	}
	if _, err := r.told(); err != nil && !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	return showKeysNow(out, st)
}

// sayTold says which hosts trust the user CAs. Those that run and do not are an error.
func sayTold(out io.Writer, told serving.TrustReport) error {
	say := func(what string, names []string) {
		if len(names) > 0 {
			slices.Sort(names)
			fmt.Fprintf(out, "%s: %s\n", what, strings.Join(names, ", "))
		}
	}
	say("trust both", told.Trusting)
	say("do not run, and are told when they do", told.Later)
	say("add the next user CA to the TrustedUserCAKeys of", told.Foreign)
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(told.Failed)) {
		failed = append(failed, fmt.Sprintf("host %s: %s", name, told.Failed[name]))
	}
	if len(failed) > 0 {
		return fmt.Errorf("the old user CA stays in use, since not every host trusts the next one:\n%s", strings.Join(failed, "\n"))
	}
	return nil
}

// tellGateways has the gateways that run read their keys again, and tell their hosts.
// The error of none that runs is [control.ErrNotRunning].
func tellGateways(ctx context.Context, stateDir string) (serving.TrustReport, error) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	told, err := control.CallAll[serving.TrustReport](ctx, stateDir, serving.VerbKeys, nil)
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		return serving.TrustReport{}, fmt.Errorf("the keys are written, but the gateway does not know it; restart it: %w", err)
	}
	if len(told) == 0 {
		return serving.TrustReport{}, err
	}
	return told[0], nil
}

func showKeysNow(out io.Writer, st *state.State) error {
	if err := st.ReadKeys(); err != nil {
		return err
	}
	return showKeys(out, st)
}
