package sshconn

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// ourEnv is the prefix of variables that only the gateway may set.
const ourEnv = "BERTH_"

// OriginalCommand is the variable in which a forced command finds the command that
// the client asked for, as with sshd(8). Only package gate sets it; a client may not.
const OriginalCommand = "SSH_ORIGINAL_COMMAND"

// Limits of a variable that a client sends, in bytes.
const (
	maxEnvName  = 64
	maxEnvValue = 4 << 10
)

// AcceptEnv parses a client's env request (RFC 4254 §6.4) and reports whether it may
// go any further, on any route. A name may have only letters, digits and _, and a
// value neither NUL nor newline; only that of [OriginalCommand] may have newlines.
// Names that begin with BERTH_ are refused: they are the gateway's. The check comes
// before everything else, since other programs read such bytes in other ways:
// OpenSSH's sshd ends a name at its NUL, so that NAME\0 sets NAME.
//
// Which of the variables a session really gets is decided by the host: its own sshd
// uses its AcceptEnv, and package session uses [IsListedEnv].
func AcceptEnv(payload []byte) (EnvRequest, bool) {
	var env EnvRequest
	if ssh.Unmarshal(payload, &env) != nil {
		return EnvRequest{}, false
	}
	switch {
	case env.Name == "", len(env.Name) > maxEnvName, !IsWord(env.Name, "_"):
		return EnvRequest{}, false
	case strings.HasPrefix(env.Name, ourEnv):
		return EnvRequest{}, false
	case env.Name == OriginalCommand:
		return env, !strings.ContainsRune(env.Value, 0) // a command may be long and have several lines
	case len(env.Value) > maxEnvValue, strings.ContainsAny(env.Value, "\x00\n"):
		return EnvRequest{}, false
	}
	return env, true
}

// ListedEnv returns the variables that a client may set on a host, as in an sshd's
// AcceptEnv: a * at the end stands for any characters. The sshd of Berth's image has
// the same list. It lists what is allowed, since the variables that can run code
// (LD_PRELOAD, BASH_ENV, PYTHONSTARTUP, …) have no complete list.
func ListedEnv() []string {
	return []string{"LANG", "LANGUAGE", "LC_*", "COLORTERM", "NO_COLOR", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "GIT_PROTOCOL"}
}

// IsListedEnv reports whether a variable is one of [ListedEnv].
func IsListedEnv(name string) bool {
	return slices.ContainsFunc(ListedEnv(), func(listed string) bool {
		prefix, isPattern := strings.CutSuffix(listed, "*")
		return name == listed || isPattern && strings.HasPrefix(name, prefix)
	})
}
