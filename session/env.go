package session

import "github.com/berth-ssh/berth/sshconn"

// Bounds on what a client may say of its environment and its terminal.
const (
	maxEnv   = 64
	maxTerm  = 64
	maxModes = 4 << 10
)

// validTerm keeps out what a program that looks TERM up could take for a path.
func validTerm(term string) bool {
	return len(term) <= maxTerm && sshconn.IsWord(term, "._+-")
}
