package session

import (
	"strings"
	"testing"
)

// The environment is a way to run code as somebody else: LD_PRELOAD and its
// kin never get through.
func TestTheClientsEnvironmentIsAnAllowList(t *testing.T) {
	for name, want := range map[string]bool{
		"LANG": true, "LC_ALL": true, "LC_CTYPE": true, "COLORTERM": true, "GIT_PROTOCOL": true,
		"LD_PRELOAD": false, "LD_LIBRARY_PATH": false, "BASH_ENV": false, "ENV": false, "PATH": false, "IFS": false,
		"PYTHONSTARTUP": false, "NODE_OPTIONS": false, "GLIBC_TUNABLES": false, "SSH_AUTH_SOCK": false, "HOME": false,
		"lang": false,
	} {
		if got := isAllowed(name); got != want {
			t.Errorf("isAllowed(%q) is %v", name, got)
		}
	}
}

func TestTermIsNoPath(t *testing.T) {
	for term, want := range map[string]bool{
		"xterm-256color": true, "screen.xterm": true, "": true,
		"../../etc/passwd": false, "a b": false, "x\x1b": false, strings.Repeat("x", maxTerm+1): false,
	} {
		if validTerm(term) != want {
			t.Errorf("validTerm(%q) is %v", term, !want)
		}
	}
}
