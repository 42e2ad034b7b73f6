// Package rotation replaces the gateway's own keys while people come and go, in the order
// that locks nobody out:
//
//   - The next user CA is made beside the one in use. It takes its place only when every
//     host that runs trusts both: a host that does not run is told when it does, and one
//     that cannot be told keeps the old CA in use.
//   - The next host key is made beside the one that is shown. Gateways tell their clients
//     of both until it takes its place.
//
// Each step is written to the state directory first, and then the gateways that run read
// it. The keys themselves are package state's.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/serving"
	"github.com/berth-ssh/berth/state"
)

// tellTimeout is how long a gateway may take to tell all its hosts of a user CA.
const tellTimeout = 5 * time.Minute

// Keys are the gateway's own keys, and the gateways that use them.
type Keys struct {
	state *state.State
	tell  func(context.Context) (serving.TrustReport, error)
}

// Told is which hosts were told to trust both user CAs.
type Told struct {
	serving.TrustReport
	NoGateway bool // none runs; it tells its hosts when it does
}

// Of returns the keys of a state directory.
func Of(st *state.State) Keys {
	return Keys{st, func(ctx context.Context) (serving.TrustReport, error) { return tellGateways(ctx, st.Dir()) }}
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

// BeginHostKeys makes the next host keys, which are shown from a time on.
func (k Keys) BeginHostKeys(ctx context.Context, at time.Time) error {
	return k.change(ctx, func() error { return k.state.RotateHostKeys(at) })
}

// FinishHostKeys has the next host keys shown now, and forgets the old ones.
func (k Keys) FinishHostKeys(ctx context.Context) error {
	return k.change(ctx, k.state.FinishHostKeys)
}

// CancelHostKeys forgets the next host keys.
func (k Keys) CancelHostKeys(ctx context.Context) error {
	return k.change(ctx, k.state.CancelHostKeys)
}

// BeginUserCA makes the next user CA, unless there is one, and has hosts trust both. It
// waits until all have been told. Its error says which of those that run do not.
func (k Keys) BeginUserCA(ctx context.Context) (Told, error) {
	if k.state.UserCA().Next == nil {
		if err := k.state.RotateUserCA(); err != nil {
			return Told{}, err
		}
	}
	return k.trustBoth(ctx)
}

// FinishUserCA replaces the user CA in use by the next one, forgets it, and makes
// hosts trust only the new one. If a running host does not trust both yet, nothing
// changes, and the error names that host.
func (k Keys) FinishUserCA(ctx context.Context) (Told, error) {
	told, err := k.trustBoth(ctx)
	if err != nil {
		return told, err
	}
	return told, k.change(ctx, k.state.FinishUserCA)
}

// CancelUserCA forgets the next user CA, and has hosts trust the one in use alone.
func (k Keys) CancelUserCA(ctx context.Context) error {
	return k.change(ctx, k.state.CancelUserCA)
}

// change changes the keys, and has the gateways that run read them.
func (k Keys) change(ctx context.Context, change func() error) error {
	if err := change(); err != nil {
		return err
	}
	if _, err := k.tell(ctx); !errors.Is(err, control.ErrNotRunning) {
		return err
	}
	return nil
}

// trustBoth has hosts trust both user CAs. A host that runs and does not is an error.
func (k Keys) trustBoth(ctx context.Context) (Told, error) {
	told, err := k.tell(ctx)
	if errors.Is(err, control.ErrNotRunning) {
		return Told{NoGateway: true}, nil
	}
	if err != nil || len(told.Failed) == 0 {
		return Told{TrustReport: told}, err
	}
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(told.Failed)) {
		failed = append(failed, fmt.Sprintf("host %s: %s", name, told.Failed[name]))
	}
	err = fmt.Errorf("the old user CA stays in use, since not every host trusts the next one:\n%s", strings.Join(failed, "\n"))
	return Told{TrustReport: told}, err
}
