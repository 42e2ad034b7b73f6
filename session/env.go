package session

import "github.com/berth-ssh/berth/sshconn"

// Bounds on what a client may say of its environment and its terminal.
const (
	maxEnv   = 128 // as sshd
	maxTerm  = 64
	maxModes = 4 << 10
)

// termOf is the type of terminal that a client says, or "dumb" for one that a program
// could take for a path when it looks TERM up. Whoever has none gets none.
func termOf(said string) string {
	if len(said) <= maxTerm && sshconn.IsWord(said, "._+-") {
		return said
	}
	return "dumb"
}
