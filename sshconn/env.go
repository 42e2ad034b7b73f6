package sshconn

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// ourEnv begins the names that the gateway alone sets.
const ourEnv = "BERTH_"

// OriginalCommand is the variable in which a forced command finds what the client
// asked for, as sshd(8) sets it. Package gate alone sets it, and lets no client.
const OriginalCommand = "SSH_ORIGINAL_COMMAND"

// Bounds on what a client may say of its environment, in bytes.
const (
	maxEnvName  = 64
	maxEnvValue = 4 << 10
)

// AcceptEnv reads an env request of a client (RFC 4254 §6.4) and reports whether
// it may go any further, on any route. It looks at the bytes before anything else
// does: a name is letters, digits and _, and a value has neither NUL nor newline.
// Others read such bytes in ways of their own: OpenSSH's sshd ends a name at its
// NUL, so that NAME\0 sets NAME. Names that begin with BERTH_ are the gateway's. The
// value of [OriginalCommand] may have newlines.
//
// Which of these variables a session gets is for the host to say: its own sshd
// by AcceptEnv, or package session, which takes those of [IsListedEnv].
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
		return env, !strings.ContainsRune(env.Value, 0) // a command of any length, and of several lines
	case len(env.Value) > maxEnvValue, strings.ContainsAny(env.Value, "\x00\n"):
		return EnvRequest{}, false
	}
	return env, true
}

// ListedEnv are the variables that a client may set on a host, as in an sshd's AcceptEnv:
// a * at the end stands for anything. The sshd of Berth's image has the same. It is a
// list of what is allowed, since what could run code on somebody's behalf (LD_PRELOAD,
// BASH_ENV, PYTHONSTARTUP, …) has no end.
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
