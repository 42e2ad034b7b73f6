package serving

import (
	"context"

	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/state"
)

// TrustReport says which hosts with an sshd trust the gateway's user CAs, by the names of
// the hosts.
type TrustReport struct {
	Trusting []string          `json:"trusting,omitempty"`
	Later    []string          `json:"later,omitempty"`   // they do not run, and are told when they do
	Foreign  []string          `json:"foreign,omitempty"` // somebody else has set up their sshd, and must tell it
	Failed   map[string]string `json:"failed,omitempty"`  // they could not be told, and why
}

// readKeys reads the gateway's own keys again, which another process has changed, and
// tells the hosts which user CAs to trust.
func readKeys(ctx context.Context, r *resources) (TrustReport, error) {
	if err := r.state.ReadKeys(); err != nil {
		return TrustReport{}, err
	}
	report := TrustReport{Failed: map[string]string{}}
	for name, trust := range r.directory.TellUserCAs(ctx) {
		switch {
		case trust.IsOthers:
		case trust.Err != nil:
			report.Failed[name] = trust.Err.Error()
		case trust.Later:
			report.Later = append(report.Later, name)
		case trust.IsForeign:
			report.Foreign = append(report.Foreign, name)
		default:
			report.Trusting = append(report.Trusting, name)
		}
	}
	return report, nil
}

// hostKeysOf returns the host keys as a gateway takes them.
func hostKeysOf(st *state.State) func(others bool) (gateway.HostKeys, error) {
	return func(others bool) (gateway.HostKeys, error) {
		keys, err := st.HostKeys(others)
		return gateway.HostKeys{Key: keys.Key, Others: keys.Others, Next: keys.Next}, err
	}
}
