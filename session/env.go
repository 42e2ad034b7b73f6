package session

import (
	"strings"

	"github.com/berth-ssh/berth/sshconn"
)

// Bounds on what a client may say of its environment and its terminal.
const (
	maxEnv   = 64
	maxTerm  = 64
	maxModes = 4 << 10
)

// isAllowed says whether a client may set a variable, as AcceptEnv of an sshd
// does. A list of what is allowed, since what could run code on somebody's behalf
// (LD_PRELOAD, BASH_ENV, PYTHONSTARTUP, …) has no end.
func isAllowed(name string) bool {
	switch name {
	case "LANG", "LANGUAGE", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "GIT_PROTOCOL", "NO_COLOR":
		return true
	default:
		return strings.HasPrefix(name, "LC_")
	}
}

// validTerm keeps out what a program that looks TERM up could take for a path.
func validTerm(term string) bool {
	return len(term) <= maxTerm && sshconn.IsWord(term, "._+-")
}
