package session

import "github.com/berth-ssh/berth/sshconn"

// Limits of a client's environment and its terminal.
const (
	maxEnv   = 128 // the same as sshd's
	maxTerm  = 64
	maxModes = 4 << 10
)

// termOf returns the client's terminal type. A type that a program could take for a
// path when it looks it up becomes "dumb"; an empty one stays empty.
func termOf(said string) string {
	if len(said) <= maxTerm && sshconn.IsWord(said, "._+-") {
		return said
	}
	return "dumb"
}
