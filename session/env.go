package session

import (
	"strings"

	"berth/sshconn"
)

// Bounds on what a client may say of its environment and its terminal.
const (
	maxEnv      = 64
	maxEnvName  = 64
	maxEnvValue = 4 << 10
	maxTerm     = 64
	maxModes    = 4 << 10
)

// acceptEnv says whether a client may set a variable (RFC 4254 §6.4). A list
// of what is allowed, since what could run code on somebody's behalf
// (LD_PRELOAD, BASH_ENV, PYTHONSTARTUP, …) has no end.
func acceptEnv(name, value string) bool {
	if len(name) > maxEnvName || len(value) > maxEnvValue || strings.ContainsAny(value, "\x00\n") || !sshconn.IsWord(name, "_") {
		return false
	}
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
