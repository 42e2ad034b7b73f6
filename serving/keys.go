package serving

import (
	"context"

	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/state"
)

// Told is what hosts with an sshd know of the gateway's user CAs, by their names.
type Told struct {
	Trusting []string          `json:"trusting,omitempty"`
	Later    []string          `json:"later,omitempty"`   // that do not run, and are told when they do
	Foreign  []string          `json:"foreign,omitempty"` // whose sshd somebody else has set up, and tells
	Failed   map[string]string `json:"failed,omitempty"`  // that could not be told, and why
}

// readKeys reads the gateway's own keys again, which another process has changed, and
// tells the hosts which user CAs to trust.
func readKeys(ctx context.Context, has *opened) (Told, error) {
	if err := has.state.ReadKeys(); err != nil {
		return Told{}, err
	}
	told := Told{Failed: map[string]string{}}
	for name, trust := range has.directory.TellUserCAs(ctx) {
		switch {
		case trust.IsOthers:
		case trust.Err != nil:
			told.Failed[name] = trust.Err.Error()
		case trust.Later:
			told.Later = append(told.Later, name)
		case trust.IsForeign:
			told.Foreign = append(told.Foreign, name)
		default:
			told.Trusting = append(told.Trusting, name)
		}
	}
	return told, nil
}

// hostKeysOf returns the host keys as a gateway takes them.
func hostKeysOf(st *state.State) func(others bool) (gateway.HostKeys, error) {
	return func(others bool) (gateway.HostKeys, error) {
		keys, err := st.HostKeys(others)
		return gateway.HostKeys{Key: keys.Key, Others: keys.Others, Next: keys.Next}, err
	}
}
